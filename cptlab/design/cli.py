"""`cptlab next STUDY_OR_RUNS [question=... law=...]`: which runs to train next, or that there are enough.

`cptlab sweep --adaptive STUDY` trains them, round after round; `cptlab status --adaptive STUDY` says how far it is.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.launch import compose_fit
from cptlab.sweeps.values import value_text

if TYPE_CHECKING:
    from cptlab.design.propose import Proposal
    from cptlab.fit_config import FitConfig
    from cptlab.sweeps.study import Study


ADAPTIVE = {
    "tolerance": (
        float,
        "half the width that is enough (default 0.02); without it a grid that is given one ends there",
    ),
    "budget": (float, "FLOPs that all runs may cost together (default: what the grid would)"),
    "count": (int, "runs of a round (default 1)"),
}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `next` to the commands of `cptlab`, and what chooses to `sweep`, which is there."""
    add_adaptive(commands)
    parser = commands.add_parser(
        "next",
        help="the runs that narrow a decision most for their FLOPs, or that there are enough",
        epilog="further key=value overrides as for fit_law.py, e.g. law=cmr question.max_general_rise=0.05",
    )
    parser.add_argument("study", type=Path, help="study folder, its grid.yaml, or a folder of runs")
    parser.add_argument("--question", default="", help="what is to be decided (default: the study's, else tradeoff)")
    parser.add_argument("--tolerance", type=float, default=0.02, help="half the width that is enough (default 0.02)")
    parser.add_argument("--budget", type=float, default=float("inf"), help="FLOPs that the runs may cost together")
    parser.add_argument("--count", type=int, default=1, help="runs to propose (default 1)")


def add_adaptive(commands: argparse._SubParsersAction) -> None:
    """Add the options of an adaptive sweep to `sweep` and `status`, which are declared before."""
    sweep, status = commands.choices["sweep"], commands.choices["status"]
    status.add_argument("--adaptive", action="store_true", help="of the shares that `sweep --adaptive` has chosen")
    sweep.add_argument("--adaptive", action="store_true", help="choose the shares to train one after the other")
    for name, (kind, words) in ADAPTIVE.items():
        sweep.add_argument(f"--{name}", type=kind, default=None, help=f"with --adaptive: {words}")


def chooses(options: argparse.Namespace) -> bool:
    """Whether a command of `cptlab` is run here. UserError for an option of --adaptive without it."""
    if options.command == "next" or getattr(options, "adaptive", False):
        return True
    if options.command != "sweep":
        return False
    if given := [name for name in ADAPTIVE if getattr(options, name) is not None and name != "tolerance"]:
        raise UserError(f"--{given[0]} is for choosing runs; give --adaptive too")
    return options.tolerance is not None


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """`next`, `sweep --adaptive` or `status --adaptive`; returns the exit code."""
    sweep = run_adaptive if getattr(options, "adaptive", False) else run_until
    return {"next": run_next, "sweep": sweep, "status": run_status}[options.command](options, overrides)


def run_until(options: argparse.Namespace, overrides: list[str]) -> int:
    """Train a grid until its answer is narrow enough."""
    from cptlab.sweeps.cli import check_counts

    check_counts(options)
    from cptlab.design.enough import Enough
    from cptlab.sweeps.study import read_study
    from cptlab.sweeps.sweep import sweep

    study = read_study(options.study, overrides)
    until = Enough(study, options.tolerance)
    return sweep(study, options.workers, options.per_gpu, options.retries, options.dry_run, until=until)


def run_status(options: argparse.Namespace, overrides: list[str]) -> int:
    """Where the chosen runs are."""
    from cptlab.design.adaptive import chosen_study
    from cptlab.sweeps.cli import status
    from cptlab.sweeps.study import read_study

    return status(chosen_study(read_study(options.study, overrides)), options)


def run_adaptive(options: argparse.Namespace, overrides: list[str]) -> int:
    """Train what is chosen; 0 where it is enough or the budget is spent."""
    from cptlab.design.adaptive import adaptive
    from cptlab.sweeps.study import read_study

    if options.dry_run:
        raise UserError("--adaptive chooses from records, so there is nothing to list before; drop --dry-run")
    given = {name: value for name in ADAPTIVE if (value := getattr(options, name)) is not None}
    study = read_study(options.study, overrides)
    return adaptive(study, workers=options.workers, per_gpu=options.per_gpu, retries=options.retries, **given)


def run_next(options: argparse.Namespace, overrides: list[str]) -> int:
    """Print the proposal; 0 whether or not it is enough."""
    from cptlab.design.propose import propose
    from cptlab.design.stop import check_tolerance

    check_tolerance(options.tolerance)
    runs, known = options.study, []
    asked = [f"question={options.question}"] if options.question else []
    if runs.suffix in (".yaml", ".yml") or (runs / "grid.yaml").is_file():
        from cptlab.sweeps.index import runs_folder
        from cptlab.sweeps.study import read_study

        study = read_study(options.study, [])
        runs, known = runs_folder(study.points[0]), [*study.law, *study.question]
        if not any(runs.glob("*/done.json")):
            print("\n".join(first_runs(study, compose_fit([*known, *asked, *overrides]), options.count)))
            return 0
    elif not runs.exists():
        raise UserError(f"{runs} does not exist; give a study folder, its grid.yaml, or a folder of runs")
    config = compose_fit([f"source.path={value_text(str(runs))}", *known, *asked, *overrides])
    found = propose(
        config.source, config.law, config.question, tolerance=options.tolerance, budget=options.budget,
        count=options.count, num_draws=min(config.num_draws, 300), seed=config.seed,
    )  # fmt: skip
    print("\n".join(lines(found)))
    return 0


def first_runs(study: Study, config: FitConfig, count: int) -> list[str]:
    """What to train where nothing was recorded: the start of the design."""
    from cptlab.design.asked import asked_of
    from cptlab.design.start import NEEDED, start
    from cptlab.sweeps.index import runs_folder

    asked = asked_of(study, config.question)
    first = start(asked.space, max(count, NEEDED), asked.num_params)
    head = f"no finished run in {runs_folder(study.points[0])}; start with {len(first)} runs whose shares are spread:"
    return [head, *(command(tuple(asked.overrides_of(point))) for point in first)]


def lines(found: Proposal) -> list[str]:
    """The sentence, then of each run its effect, its cost and its command."""
    text = [found.because]
    for number, one in enumerate(found.runs, 1):
        if one.expected is None:
            text.append(f"{number}. {command(one.overrides)}")
            continue
        expected, point = one.expected, one.expected.point
        text += [
            f"{number}. share {point.share:g} at {point.num_params:,.0f} parameters, {point.tokens:,.0f} tokens, "
            f"seed {point.seed}: width of the interval {expected.width:.3f} -> {expected.after:.3f} expected, "
            f"{expected.flops:.3g} FLOPs",
            f"   {command(one.overrides)}",
        ]
    return text


def command(overrides: tuple[str, ...]) -> str:
    """One line for a shell."""
    return " ".join(["python train.py", *map(shlex.quote, overrides)])
