"""The commands of a study: `cptlab plan`, `cptlab sweep`, `cptlab status`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.sweeps.blocks import Block
    from cptlab.sweeps.planned import PlannedPoint
    from cptlab.sweeps.rates import Rates
    from cptlab.sweeps.study import Study

MFU = 0.4  # model FLOPs utilisation where none is given
DAY = 86400  # [s]
COMMANDS = ("plan", "sweep", "status")
EPILOG = "further key=value overrides, e.g. tokens=1e5, apply to every point"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare them."""
    helps = {
        "plan": "every point of a study with its size, FLOPs, hours, disk and price",
        "sweep": "train every point of a study; the same command continues what was ended anywhere",
        "status": "what of a study is done, running, failed or missing, and how long the rest takes",
    }
    parsers = {name: commands.add_parser(name, help=helps[name], epilog=EPILOG) for name in COMMANDS}
    for parser in parsers.values():
        parser.add_argument("study", type=Path, help="study folder or its grid.yaml")
        parser.add_argument(
            "--workers", type=int, default=0, help="points at a time (default: what cores or GPUs hold)"
        )
    plan, sweep, status = parsers.values()
    plan.add_argument("--probe", action="store_true", help="train 20 steps of each size here, for the hours")
    plan.add_argument("--gpu", default="", help="hours from the table of GPUs, e.g. H200")
    plan.add_argument("--mfu", type=float, default=None, help="share of that GPU's peak (default .4)")
    plan.add_argument("--price", type=float, default=None, help="of one hour of one device")
    sweep.add_argument("--per-gpu", type=int, default=1, help="points that share one GPU")
    sweep.add_argument("--retries", type=int, default=1, help="further tries of a point that fails (default 1)")
    sweep.add_argument("--dry-run", action="store_true", help="check and list the points, train nothing")
    status.add_argument("--watch", action="store_true", help="until every point is done")
    status.add_argument("--every", type=float, default=2.0, help="seconds between two looks of --watch")


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """Run one of them; returns the exit code."""
    check_counts(options)
    if options.command == "plan":
        check_plan(options)
    from cptlab.sweeps.first import roots_missing
    from cptlab.sweeps.index import runs_folder
    from cptlab.sweeps.study import read_study
    from cptlab.sweeps.trunks import Trunks, saving, with_branches

    study = read_study(options.study, overrides)
    if options.command != "status":
        study.check_fit(str(runs_folder(study.points[0])))
    if options.command == "sweep":
        from cptlab.sweeps.sweep import sweep

        return sweep(study, options.workers, options.per_gpu, options.retries, options.dry_run)
    study = with_branches(study)
    code = (plan if options.command == "plan" else status)(study, options)
    trunks = study.bases if isinstance(study.bases, Trunks) else None
    if trunks and options.command == "plan" and not roots_missing(trunks):
        print(f"{study.name}: {saving(study)}")
    return code


def check_counts(options: argparse.Namespace) -> None:
    """UserError for numbers of points or tries that cannot be."""
    for name, least in (("workers", 0), ("per_gpu", 1), ("retries", 0)):
        if getattr(options, name, least) < least:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be {least} or more")


def check_plan(options: argparse.Namespace) -> None:
    """UserError for options of `cptlab plan` that mean nothing."""
    if options.price is not None and not (options.price >= 0 and math.isfinite(options.price)):
        raise UserError(f"--price is {options.price:g}; it must be 0 or more, of one hour of one device")
    if options.mfu is not None and not options.gpu:
        raise UserError("--mfu is the share of a named GPU's peak; give --gpu too, e.g. --gpu H200")
    if options.gpu and options.probe:
        raise UserError("--probe measures this machine, --gpu reads a table; give one of them")


def planned_of(study: Study) -> list[PlannedPoint]:
    """The points with their figures. UserError, with how to make them, while bases are missing."""
    from cptlab.sweeps.first import refuse_missing
    from cptlab.sweeps.index import planned_points

    refuse_missing(study)
    return planned_points(study.points)


def plan(study: Study, options: argparse.Namespace) -> int:
    """`cptlab plan`."""
    from cptlab.sweeps.blocks import LATER, blocks_of
    from cptlab.sweeps.first import refuse_missing
    from cptlab.sweeps.plan_table import show_end, show_plan
    from cptlab.sweeps.rates import keep_probe, of_gpu, of_records
    from cptlab.sweeps.seats import side_by_side

    blocks = blocks_of(study)
    states = [block.states() for block in blocks]
    if options.gpu:
        rates = of_gpu(options.gpu, MFU if options.mfu is None else options.mfu)
    elif options.probe:
        from cptlab.sweeps.probe import probe

        if not blocks[0].opened:  # a command makes its bases
            refuse_missing(study)
        rates = probe([point for block in blocks for point in block.points if point.run_id != LATER])
        keep_probe(blocks[-1].folder, rates)
    else:
        points = [point for block in blocks for point in block.points]
        rates = of_records(points, [state for own in states for state in own])
        rates = rates if rates.seen else last_probe(blocks)
    for block, own in zip(blocks, states, strict=True):
        at_a_time = side_by_side(block.points, options.workers)
        show_plan(block.name, block.points, own, rates, options.price, at_a_time)
    show_end(blocks, states, rates, options.price, side_by_side(blocks[-1].points, options.workers))
    return 0


def status(study: Study, options: argparse.Namespace) -> int:
    """`cptlab status`."""
    from cptlab.sweeps.blocks import blocks_of
    from cptlab.sweeps.status_table import show_status
    from cptlab.sweeps.watch import watch_status

    if not 0 < options.every <= DAY:
        raise UserError(f"--every is {options.every:g}; it must be above 0 seconds, and a day at most ({DAY})")
    blocks = blocks_of(study)
    if options.watch:
        watch_status(blocks, lambda: blocks_of(study), last_probe(blocks), options.workers, options.every)
    else:
        show_status(blocks, last_probe(blocks), options.workers)
    return 0


def last_probe(blocks: list[Block]) -> Rates:
    """The study's, else that of its bases."""
    from cptlab.sweeps.rates import Rates, kept_probe

    return next((kept for block in reversed(blocks) if (kept := kept_probe(block.folder)).seen), Rates())
