"""`cptlab wandb-sweep STUDY`: the study as a sweep of Weights & Biases, or by its search engine without a server."""

from __future__ import annotations

import argparse
from pathlib import Path

from cptlab.errors import UserError

COMMAND = "wandb-sweep"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare it."""
    parser = commands.add_parser(
        COMMAND,
        help="a study as a W&B sweep, worked off by agents here or anywhere; the same command hands out what is left",
        epilog="further key=value overrides, e.g. tokens=1e5, apply to every point",
    )
    parser.add_argument("study", type=Path, help="study folder or its grid.yaml")
    parser.add_argument("--method", default="grid", help="grid (default: every point), random or bayes between them")
    parser.add_argument("--metric", default="", help="loss to make small, e.g. loss/fit/code, for bayes and hyperband")
    parser.add_argument(
        "--hyperband", type=int, default=0, metavar="N", help="end hopeless runs, from their Nth evaluation on"
    )
    parser.add_argument("--between", action="append", default=[], metavar="KEY", help="draw KEY from its values' range")
    parser.add_argument("--log", action="append", default=[], metavar="KEY", help="the same on a logarithmic scale")
    parser.add_argument("--runs", type=int, default=0, help="runs of random and bayes (default: until stopped)")
    parser.add_argument("--agents", type=int, default=0, help="agents to start here (default 0: say how to start them)")
    parser.add_argument("--retries", type=int, default=1, help="further sweeps of what was not finished (default 1)")
    parser.add_argument("--project", default="", help="W&B project (default: tracking.project of the study, or cptlab)")
    parser.add_argument("--entity", default="", help="W&B user or team (default: your own)")
    parser.add_argument("--offline", action="store_true", help="no server: runs are kept offline for `wandb sync`")
    parser.add_argument(
        "--dry-run", action="store_true", help="check the points, print the sweep's YAML, start nothing"
    )


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """The command's exit code."""
    from cptlab.sweeps.first import link_finished, refuse_missing
    from cptlab.sweeps.index import runs_folder
    from cptlab.sweeps.study import read_study
    from cptlab.sweeps.wandb.agents import sigterm_ends
    from cptlab.sweeps.wandb.drive import Place, drive, refuse_agents, refuse_search, tracked, unreachable
    from cptlab.sweeps.wandb.offline import run_offline
    from cptlab.sweeps.wandb.spec import Search

    search = Search(
        options.method, options.metric, options.hyperband, tuple(options.between), tuple(options.log), options.runs
    )
    study = tracked(read_study(options.study, overrides), options.project)
    study.check_fit(str(runs_folder(study.points[0])))
    if study.branches and not options.offline:
        raise UserError(
            f"{study.file}: branches leave trunks that must be trained first, which agents of W&B know nothing of; use"
            " `cptlab sweep` (tracking=wandb logs its runs), --offline, or drop branches"
        )
    place = Place(options.entity, options.agents, options.retries)
    refuse_agents(place)
    if study.bases and study.bases.missing():
        link_finished(study.bases)
    if not (options.offline and search.follows_points and not options.dry_run):  # which goes as `cptlab sweep`
        refuse_missing(study)
    if not (study.bases and study.bases.missing()):  # else the points are opened once their bases are there
        refuse_search(study, search)
    if options.dry_run:
        return drive(study, search, place, dry_run=True)
    why = "" if options.offline else unreachable()
    if why and not place.agents:
        raise UserError(
            f"W&B does not answer ({why}), so no sweep can be created; add --offline to train here without it"
        )
    with sigterm_ends():
        if not why and not options.offline:
            return drive(study, search, place)
        if why:
            print(f"W&B does not answer ({why}): training here, offline; `wandb sync` sends the runs later", flush=True)
        return run_offline(study, search, place)
