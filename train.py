"""Train one point, or with -m a grid, and record it. `python train.py --help` shows groups and defaults."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.launch import launch
from cptlab.training.checkpoint.signals import take_early

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.outcome import Outcome

started = time.monotonic()
total = 1  # points of this command
folders: list[Path] = []  # their records, of a multirun
skipped = 0  # of them, because their record was there
failed: list[str] = []  # ends of points that did not train: failed, refused, ...


def preflight(overrides: list[str]) -> None:
    """Compose and check every point of a multirun before the first one trains."""
    global total, folders
    from cptlab.sweeps.hydra_sweeper import add_sweeper
    from cptlab.sweeps.preflight import check_points, expand
    from cptlab.sweeps.slurm.choose import check_launcher, chosen, hand_in_points

    launcher = chosen(overrides)
    if launcher:
        check_launcher(launcher)
    add_sweeper()
    points = expand(overrides)
    total = len(points)
    opened = check_points(points, streams=True)
    folders = [point.folder.path for point in opened]
    if launcher:
        hand_in_points([point.folder for point in opened], show)


def task(config: TrainConfig) -> None:
    """One point. What is wrong with one of several in this process, found while it is set up, ends no other."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from cptlab.errors import UserError
    from cptlab.training.outcome import REFUSED, Outcome
    from cptlab.training.parallel.launch import speaks
    from cptlab.training.run import train_point

    hydra = HydraConfig.get()
    overrides, number = list(hydra.overrides.task), 1 + hydra.job.num if total > 1 else 1
    try:
        if hydra.runtime.choices["hydra/sweeper"] == "study" and hydra.mode != RunMode.MULTIRUN:
            raise UserError("hydra/sweeper=study is for many points; give -m too")
        if config.stream:
            return stages(config, overrides, number, speaks())
        show(train_point(config, overrides), number, speaks())
    except UserError as error:
        if total == 1 or hydra.runtime.choices["hydra/launcher"] != "basic":  # a job of its own says so itself
            raise
        folder = folders[number - 1]
        show(Outcome(folder.name, folder, REFUSED, str(error), {}, 0.0), number, speaks())


def stages(config: TrainConfig, overrides: list[str], number: int, aloud: bool) -> None:
    """A stream: one line a stage, and the transfer between them at the end."""
    from cptlab.metrics.streams import report_of
    from cptlab.sweeps.stages import open_stream, train_stream

    open_stream(config, overrides)
    folders = []
    for stage, (corpus, outcome) in enumerate(train_stream(config, overrides), 1):
        show(outcome, number, aloud, f"stage {stage} of {len(config.stream)}, {corpus}: ")
        folders += [outcome.folder] if outcome.status in ("finished", "skipped") else []
    if aloud and len(folders) == len(config.stream):
        print("\n".join(["", *report_of(folders)]), flush=True)


def show(outcome: Outcome, number: int, aloud: bool = True, stage: str = "") -> None:
    """One line a point; what did not finish makes the exit code 1, unless another process trains it."""
    global skipped
    from cptlab.sweeps.lines import outcome_line

    skipped += outcome.status == "skipped" and not stage
    if aloud:
        untimed = number if stage else skipped  # stages are no points: nothing is said of the time left
        print(stage + outcome_line(outcome, number, total, time.monotonic() - started, untimed), flush=True)
    if outcome.status not in ("finished", "skipped", "locked"):
        failed.append(outcome.status)
    if outcome.apart and total > number:
        if aloud:
            print(f"{total - number} points were not begun; the same command goes on", flush=True)
        sys.exit(1)


def sum_up() -> None:
    """The last line of a multirun of which not every point was trained."""
    from cptlab.training.parallel.launch import speaks

    if total > 1 and failed and speaks():
        ends = ", ".join(f"{failed.count(status)} {status}" for status in dict.fromkeys(failed))
        print(f"{total - len(failed)} of {total} points finished or left to others, {ends}", flush=True)


if __name__ == "__main__":
    take_early()
    launch(task, "train", preflight)
    sum_up()
    sys.exit(1 if failed else 0)
