"""Runs the points of a grid in a few processes of this machine, one line a point."""

from __future__ import annotations

import time
from collections.abc import Callable

from cptlab.sweeps.driver import Driver
from cptlab.sweeps.job import Job, jobs_of
from cptlab.sweeps.lines import outcome_line
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.seats import Seats, visible_gpus
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
    driver = Driver(jobs_of(planned), seats, reporter(len(planned)), say, retries, nursery, until)
    driver.run()
    return driver


def reporter(total: int) -> Callable[[Outcome], None]:
    """Prints the line of each outcome, with the time that the rest takes."""
    started, ended, skipped = time.monotonic(), 0, 0

    def report(outcome: Outcome) -> None:
        nonlocal ended, skipped
        ended, skipped = ended + 1, skipped + (outcome.status == "skipped")
        say(outcome_line(outcome, ended, total, time.monotonic() - started, skipped))

    return report


def say(line: str) -> None:
    """A line, at once."""
    print(line, flush=True)
