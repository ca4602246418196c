"""`cptlab next STUDY_OR_RUNS [question=... law=...]`: which runs to train next, or that there are enough."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.design.propose import Proposal
    from cptlab.fit_config import FitConfig

COMMANDS = ("next",)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `next` to the commands of `cptlab`."""
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


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """Print the proposal; 0 whether or not it is enough."""
    from cptlab.design.propose import propose
    from cptlab.design.stop import check_tolerance
    from cptlab.design.study_start import is_study, read_study_start

    check_tolerance(options.tolerance)
    runs, known = options.study, []
    if is_study(options.study):
        study = read_study_start(options.study, options.count)
        runs, known = study.runs, list(study.options)
        if not any(runs.glob("*/done.json")):
            print(f"no finished run in {runs}; start with {len(study.first)} runs whose shares are spread:")
            print("\n".join(command(point) for point in study.first))
            return 0
    elif not runs.exists():
        raise UserError(f"{runs} does not exist; give a study folder, its grid.yaml, or a folder of runs")
    asked = [f"question={options.question}"] if options.question else []
    config = compose_fit([f"source.path={runs}", *known, *asked, *overrides])
    found = propose(
        config.source, config.law, config.question, tolerance=options.tolerance, budget=options.budget,
        count=options.count, num_draws=min(config.num_draws, 300), seed=config.seed,
    )  # fmt: skip
    print("\n".join(lines(found)))
    return 0


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


def compose_fit(overrides: list[str]) -> FitConfig:
    """The typed configuration of fit_law.py. UserError names what is wrong."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from cptlab.config import register
    from cptlab.launch import CONF, dict_override, explain, typed

    register("fit_law")
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return typed(compose("fit_law", [dict_override(override) for override in overrides]))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, "fit_law")) from error
