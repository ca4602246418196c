"""`cptlab sweep`: bases first, then every point that is not finished, then what is to be said about it."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.sweeps.driver import Driver
from cptlab.sweeps.index import checked_points, known_points, runs_folder
from cptlab.sweeps.local_agent import run_planned, say
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.preflight import check_points, compose_points
from cptlab.sweeps.study import Study
from cptlab.sweeps.trunks import Trunks, standing, with_branches
from cptlab.sweeps.workers import KeptWorkers, WorkersError


def sweep(
    study: Study, workers: int = 0, per_gpu: int = 1, retries: int = 1, dry_run: bool = False,
    kept: KeptWorkers | None = None, until: Callable[[], str] | None = None,
) -> int:  # fmt: skip
    """Train a study. Returns 0 if every point is finished, left to another process or not needed, else 1.

    kept: a nursery of the caller, who sweeps several times; until: why no further point matters, '' while one does.
    """
    study = with_branches(study)
    missing = study.bases.missing() if study.bases else []
    if dry_run:
        compose_points(study.points) if missing else checked_points(study.points)
        say("\n".join(" ".join(point) for point in study.points))
        return 0
    if study.bases and (changed := study.bases.changed()):
        say(f"{study.name}: {changed}")
    if missing:
        compose_points(study.points)  # the cheap mistakes before the dear bases
    with contextlib.nullcontext(kept) if kept else KeptWorkers() as kept:
        if missing:
            make_bases(study, missing, workers, per_gpu, retries, kept)
        asked, study = len(study.points), standing(study)
        if lost := asked - len(study.points):
            say(f"{study.name}: {lost} points have no trunk, for it failed")
        if not study.points:
            return 1
        known = known_points(study.points)
        todo = [point for point in known or [] if not RunFolder(point.path).is_finished]
        if known is None or todo:
            kept.get()  # loads its libraries while the points are checked
        if known is None:
            known = checked_points(study.points)
            todo = [point for point in known if not RunFolder(point.path).is_finished]
        elif todo:
            check_points([point.overrides for point in todo])
        return int(train(study, known, todo, kept, workers, per_gpu, retries, until) or lost > 0)


def train(
    study: Study, known: list[PlannedPoint], todo: list[PlannedPoint], kept: KeptWorkers, workers: int,
    per_gpu: int, retries: int, until: Callable[[], str] | None = None,
) -> int:  # fmt: skip
    """Train what is not finished and still matters, and say what came of all."""
    skipped = len(known) - len(todo)
    if skipped:
        say(f"{study.name}: {skipped} of {len(known)} points are finished already")
    outcomes, full = [], ""
    enough = until() if until and skipped else ""
    if todo and not enough:
        at_a_time = f", {workers} at a time" if workers else ""
        say(f"{study.name}: {len(todo)} points to train{at_a_time}")
        driver = run_whole(todo, workers, per_gpu, retries, kept, until)
        outcomes, full, enough = driver.outcomes, driver.full, driver.enough
    counts = Counter(outcome.status for outcome in outcomes)
    skipped += counts["skipped"]
    say(f"{study.name}: {counts['finished']} trained, {skipped} skipped, {counts['failed']} failed")
    for outcome in outcomes:
        if outcome.status == "failed":
            say(f"failed: {outcome.folder}: {outcome.reason}")
    if full:
        raise UserError(full)
    if enough:
        left = len(todo) - len(outcomes)
        spared = f"; {left} points were not needed (without --tolerance the same command trains them)" if left else ""
        say(f"{study.name}: {enough}{spared}")
    if not counts["failed"] and (study.law or study.question):
        say(f"next: {study.fit_command(str(runs_folder(study.points[0])))}")
    return int(counts["failed"] > 0)


def run_whole(
    todo: list[PlannedPoint], workers: int, per_gpu: int, retries: int, kept: KeptWorkers,
    until: Callable[[], str] | None = None,
) -> Driver:  # fmt: skip
    """Train points; a nursery that is killed while it loads, before any point began, is tried again like a point."""
    left = retries
    while True:
        nursery = kept.get()
        try:
            return run_planned(todo, workers, per_gpu, retries, nursery, until)
        except WorkersError as error:
            code = nursery.process.wait()
            if code >= 0 or not left:  # one that ended by itself would do so again
                raise
            left -= 1
            say(f"{error} ({signal.Signals(-code).name}); another one is started")


def make_bases(
    study: Study, missing: list[Path], workers: int, per_gpu: int, retries: int, kept: KeptWorkers | None = None
) -> None:
    """Train or build what the study starts from. UserError where that fails."""
    assert study.bases
    if not isinstance(study.bases, Trunks):  # those say themselves what they train
        number = (
            "a base is missing; making it" if len(missing) == 1 else f"{len(missing)} bases are missing; making them"
        )
        say(f"{study.name}: {number} first: {study.bases.how}")

    def trained(bases: Study) -> list[tuple[list[str], Path]]:
        if sweep(bases, workers, per_gpu, retries, kept=kept) and not isinstance(study.bases, Trunks):
            raise UserError(f"a base of {bases.file} failed; {study.name} was not started")
        points = standing(bases).points
        return [(p.overrides, p.path) for p in known_points(points) or checked_points(points)] if points else []

    study.bases.make(trained)
