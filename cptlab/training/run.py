"""Train one point and record it: the heart of train.py."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.records.lock import RunLock, words
from cptlab.records.run import FAILED, INTERRUPTED
from cptlab.training.outcome import LOCKED, Outcome
from cptlab.training.parallel.launch import check_started_point, joined_world, must_start, was_started
from cptlab.training.parallel.ranks import is_first_process
from cptlab.training.point import Point, open_point

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

__all__ = ["Outcome", "Point", "open_point", "train_point"]


def train_point(config: TrainConfig, overrides: list[str], quiet: bool = False) -> Outcome:
    """Train a point unless its record says that it is finished, or another process trains it now."""
    point = open_point(config)
    if point.folder.is_finished:
        return _skipped(point)
    joined = joined_world() > 1
    if was_started() or (joined and not is_first_process()):  # their starter or the first of them holds the lock
        return _train(point, overrides, quiet, None)
    lock = RunLock(point.folder.path)
    if other := lock.acquire():
        if joined:
            raise UserError(f"{point.folder.path} is trained by {words(other)}; start this point when that has ended")
        return Outcome(point.run_id, point.folder.path, LOCKED, words(other), {}, 0.0)
    try:
        if point.folder.is_finished:  # between the first look and the lock
            return _skipped(point)
        return _train(point, overrides, quiet, lock)
    finally:
        lock.release()


def _train(point: Point, overrides: list[str], quiet: bool, lock: RunLock | None) -> Outcome:
    if must_start(point.config.machine):
        return _started(point, overrides, quiet)
    check_started_point(point.run_id)
    from cptlab.training.attempt import attempt
    from cptlab.training.checkpoint.signals import Stop

    with Stop() as stop:
        return attempt(point, overrides, quiet, stop, lock)


def _skipped(point: Point) -> Outcome:
    done = point.folder.done() or {}
    return Outcome(point.run_id, point.folder.path, "skipped", "already finished", done.get("losses", {}), 0.0)


def _started(point: Point, overrides: list[str], quiet: bool) -> Outcome:
    """The outcome of the processes that train the point; the first of them has recorded it."""
    from cptlab.training.parallel.launch import ASKED_TO_STOP, start_processes

    folder, started = point.folder, time.monotonic()
    before = folder.done()
    code, reason = start_processes(point.config.machine, overrides, point.run_id, quiet)
    seconds = time.monotonic() - started
    done: dict = folder.done() or {}
    if done == (before or {}) and code in ASKED_TO_STOP.values():  # before the first step: there is nothing to record
        raise SystemExit(code)
    if done == (before or {}):  # they died before they could say so
        done = {"status": FAILED, "reason": reason}
        if folder.path.exists():
            folder.end(FAILED, reason, seconds)
    if done.get("status") == INTERRUPTED:
        raise SystemExit(code)
    return Outcome(
        point.run_id, point.folder.path, done.get("status", FAILED), done.get("reason", reason),
        done.get("losses", {}), seconds,
    )  # fmt: skip
