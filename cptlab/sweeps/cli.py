"""The commands of a study: `cptlab plan`, `cptlab sweep`, `cptlab status`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.sweeps.planned import PlannedPoint
    from cptlab.sweeps.study import Study

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
    plan.add_argument("--mfu", type=float, default=0.4, help="share of that GPU's peak (default .4)")
    plan.add_argument("--price", type=float, default=None, help="of one hour of one device")
    sweep.add_argument("--per-gpu", type=int, default=1, help="points that share one GPU")
    sweep.add_argument("--retries", type=int, default=1, help="further tries of a point that fails (default 1)")
    sweep.add_argument("--dry-run", action="store_true", help="check and list the points, train nothing")
    status.add_argument("--watch", action="store_true", help="until every point is done")
    status.add_argument("--every", type=float, default=2.0, help="seconds between two looks of --watch")


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """Run one of them; returns the exit code."""
    for name, least in (("workers", 0), ("per_gpu", 1), ("retries", 0)):
        if getattr(options, name, least) < least:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be {least} or more")
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
    trunks = study.bases if isinstance(study.bases, Trunks) else None
    first = trunks.next_study() if trunks and trunks.missing() else study  # branches open after their trunks
    code = (plan if options.command == "plan" else status)(first, planned_of(first), options)
    if trunks and options.command == "plan":
        print(f"{study.name}: {saving(study)}")
    return code


def planned_of(study: Study) -> list[PlannedPoint]:
    """The points with their figures. UserError, with how to make them, while bases are missing."""
    from cptlab.sweeps.first import refuse_missing
    from cptlab.sweeps.index import planned_points

    refuse_missing(study)
    return planned_points(study.points)


def side_by_side(points: list[PlannedPoint], workers: int, per_gpu: int = 1) -> int:
    """Points that run at a time on this machine."""
    if workers:
        return workers
    from cptlab.sweeps.seats import visible_gpus

    if points[0].gpu:
        return max(1, len(visible_gpus()) * per_gpu // points[0].devices)
    return max(1, len(os.sched_getaffinity(0)) // (points[0].threads * points[0].devices))


def plan(study: Study, points: list[PlannedPoint], options: argparse.Namespace) -> int:
    """`cptlab plan`."""
    from cptlab.sweeps.index import plan_folder
    from cptlab.sweeps.plan_table import show_plan
    from cptlab.sweeps.rates import keep_probe, kept_probe, of_gpu, of_records
    from cptlab.sweeps.state import state_of

    states = [state_of(point.path) for point in points]
    folder = plan_folder(study.points)
    if options.gpu:
        rates = of_gpu(options.gpu, options.mfu)
    elif options.probe:
        from cptlab.sweeps.probe import probe

        rates = probe(points)
        keep_probe(folder, rates)
    else:
        rates = of_records(points, states)
        rates = rates if rates.seen else kept_probe(folder)
    show_plan(study.name, points, states, rates, options.price, side_by_side(points, options.workers))
    return 0


def status(study: Study, points: list[PlannedPoint], options: argparse.Namespace) -> int:
    """`cptlab status`."""
    from cptlab.sweeps.index import plan_folder
    from cptlab.sweeps.rates import kept_probe
    from cptlab.sweeps.status_table import show_status, watch_status

    if options.every <= 0:
        raise UserError(f"--every is {options.every:g}; it must be above 0 seconds")
    probe, at_a_time = kept_probe(plan_folder(study.points)), side_by_side(points, options.workers)
    if options.watch:
        watch_status(study.name, points, probe, at_a_time, options.every)
    else:
        show_status(study.name, points, probe, at_a_time)
    return 0
