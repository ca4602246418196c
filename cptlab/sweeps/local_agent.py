"""Runs the points of a grid in a few processes of this machine, one line a point."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cptlab.sweeps.costs import seconds_left
from cptlab.sweeps.driver import Driver
from cptlab.sweeps.job import Job, jobs_of
from cptlab.sweeps.lines import outcome_line
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import of_records
from cptlab.sweeps.seats import Seats, side_by_side, visible_gpus
from cptlab.sweeps.state import MISSING, RUNNING, State, state_of
from cptlab.sweeps.workers import Workers
from cptlab.training.outcome import Outcome


def run_points(points: list[list[str]], workers: int) -> list[Outcome]:
    """Train points (override lists, checked before), `workers` at a time; a failed one does not stop the rest."""
    jobs = [Job(number, overrides) for number, overrides in enumerate(points)]
    return Driver(jobs, Seats(workers), reporter(len(points)), say).run()


def run_planned(
    planned: list[PlannedPoint],
    workers: int = 0,
    per_gpu: int = 1,
    retries: int = 1,
    nursery: Workers | None = None,
    until: Callable[[], str] | None = None,
) -> Driver:
    """Train planned points, the longest first. Returns the driver: its outcomes, and why the rest was not started.

    workers: points at a time, 0 = as many as cores and GPUs hold; nursery: one that loads its libraries already, which
    its maker closes.
    """
    gpus = visible_gpus() if any(point.gpu for point in planned) else []
    seats = Seats(workers, gpus=gpus, per_gpu=per_gpu)
    time_left = TimeLeft(planned, side_by_side(planned, workers, per_gpu)) if planned else None
    driver = Driver(jobs_of(planned), seats, reporter(len(planned), time_left), say, retries, nursery, until)
    driver.run()
    return driver


class TimeLeft:
    """Of a sweep, from what its finished points took, those that run, and the work of the others."""

    def __init__(self, planned: list[PlannedPoint], at_a_time: int) -> None:
        self.planned, self.at_a_time = planned, at_a_time
        self.ended: dict[Path, State] = {}

    def __call__(self, outcome: Outcome) -> float | None:
        """After one more has ended [s]; None before anything is known."""
        self.ended[outcome.folder] = state_of(outcome.folder)
        states = [self.ended.get(point.path) or self._open(point) for point in self.planned]
        return seconds_left(self.planned, states, of_records(self.planned, states), self.at_a_time)

    def _open(self, point: PlannedPoint) -> State:
        """That has not ended in this sweep: what an earlier one left of it, a failure too, is trained again."""
        state = state_of(point.path)
        return state if state.status == RUNNING else State(MISSING)


def reporter(total: int, time_left: Callable[[Outcome], float | None] | None = None) -> Callable[[Outcome], None]:
    """Prints the line of each outcome, with the time that the rest takes; without `time_left` as if one at a time."""
    started, ended, skipped = time.monotonic(), 0, 0

    def report(outcome: Outcome) -> None:
        nonlocal ended, skipped
        ended, skipped = ended + 1, skipped + (outcome.status == "skipped")
        ahead, untimed = (time_left(outcome), ended) if time_left else (None, skipped)
        say(outcome_line(outcome, ended, total, time.monotonic() - started, untimed, ahead))

    return report


def say(line: str) -> None:
    """A line, at once."""
    print(line, flush=True)
