"""Twenty steps of each size of a study on this machine, thrown away: what a plan's hours rest on."""

from __future__ import annotations

import platform
import signal
import tempfile
import time
from pathlib import Path

from cptlab.errors import UserError
from cptlab.records.lock import holder
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates
from cptlab.sweeps.workers import Workers

STEPS = 20
FIRST = 2  # steps that are not counted: they load and compile
CHEAP = ["evaluation.points=1", "evaluation.rows=1", "save_model=false", "checkpoint.every_minutes=0"]


def probe(points: list[PlannedPoint]) -> Rates:
    """Train one point of each size a little, alone on its threads. UserError where one fails."""
    sizes = {(point.flops_per_token, point.tokens_per_step, point.devices): point for point in points}
    workers, seen = Workers(), []
    try:
        for point in sizes.values():
            seen.append((point.flops_per_token, point.devices, point.flops_per_token * tokens_a_second(workers, point)))
    finally:
        workers.close()
    return Rates(f"a probe of {STEPS} steps on {platform.node()}", seen)


def tokens_a_second(workers: Workers, point: PlannedPoint) -> float:
    """Of training alone, from the lock's count of steps, or from the record where the run is that short."""
    with tempfile.TemporaryDirectory(prefix="cptlab-probe-") as name:
        # A branch's steps cost as much from the start of its whole run, and its trunk allows no cheap evaluation.
        overrides = [each for each in point.overrides if not each.startswith(("tracking", "branch."))]
        workers.start(0, [*overrides, *CHEAP, f"runs={name}"], {"CPTLAB_LOCK_BEAT": "0.5"})
        marks: list[tuple[int, float]] = []
        stopped = False
        while True:
            for answer in workers.answers(0.1):
                if "gone" in answer or answer.get("outcome", {}).get("status") == "failed":
                    reason = answer.get("outcome", {}).get("reason", "its process ended")
                    raise UserError(f"the probe of {' '.join(point.overrides)} failed: {reason}")
                if "outcome" in answer:
                    return _of_record(Path(name), point)
                if "ended" in answer:
                    return _between(marks) * point.tokens_per_step
            for run in Path(name).glob("*/lock.json"):
                held = holder(run.parent) or {}
                if held.get("step", 0) >= FIRST and (not marks or held["step"] > marks[-1][0]):
                    marks.append((held["step"], held["beat"]))
            if not stopped and len(marks) > 1 and marks[-1][0] - marks[0][0] >= STEPS:
                stopped = True
                workers.signal(signal.SIGTERM)
            time.sleep(0.02)


def _between(marks: list[tuple[int, float]]) -> float:
    """Steps a second."""
    if len(marks) < 2:
        raise UserError("the probe was ended before it had counted its steps; give the same command again")
    return (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])


def _of_record(runs: Path, point: PlannedPoint) -> float:
    from cptlab.records.run import RunFolder

    run = next(file.parent for file in runs.glob("*/done.json"))
    done = RunFolder(run).done() or {}
    measured = done.get("throughput", {}).get("tokens_per_second")
    return measured or point.tokens / max(done.get("seconds", 0.0), 1e-9)
