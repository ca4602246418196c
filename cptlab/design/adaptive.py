"""`cptlab sweep --adaptive`: start spread out, fit, train what narrows the answer most, until it is narrow enough.

Only the share is chosen, at the size and tokens of the question: other sizes and shorter budgets of the study are not
trained (docs/next_runs.md says why). Choices are written down before they are trained (`choices`), and are a function
of the records, so that the same command continues a sweep that was killed anywhere; two at once share them. At constant
LR every shorter budget is a row of the runs, so it costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cptlab.design.asked import Asked, asked_of
from cptlab.design.asked_base import make_base
from cptlab.design.choices import Choices, read_choices
from cptlab.design.propose import Proposal, TooFewError, propose
from cptlab.design.space import Point
from cptlab.design.start import NEEDED, start
from cptlab.design.stop import check_tolerance
from cptlab.errors import UserError
from cptlab.fit_config import FitConfig
from cptlab.launch import compose_fit
from cptlab.sweeps.index import runs_folder
from cptlab.sweeps.local_agent import say
from cptlab.sweeps.study import Study
from cptlab.sweeps.sweep import sweep
from cptlab.sweeps.workers import KeptWorkers

SPREAD = 9  # spread-out shares after which runs that still cannot be fitted are no longer too few


def adaptive(
    study: Study, *, tolerance: float = 0.02, budget: float | None = None, count: int = 1,
    workers: int = 0, per_gpu: int = 1, retries: int = 1,
) -> int:  # fmt: skip
    """Train until half of the interval is within the tolerance, or the next run would exceed the budget.

    budget: FLOPs of all runs together, 6 N D each, without the base; None = what the study's whole grid would cost.
    count: runs of a round. Returns 0, or 1 where a run failed.
    """
    check_tolerance(tolerance)
    for name, value, least in (
        ("count", count, 1),
        ("workers", workers, 0),
        ("per-gpu", per_gpu, 1),
        ("retries", retries, 0),
    ):
        if value < least:
            raise UserError(f"--{name} is {value}; it must be {least} or more")
    if budget is not None and not budget > 0:  # nan too
        raise UserError(f"--budget is {budget:g}; it must be above 0 FLOPs")
    config, asked = read_asked(study)
    budget = asked.flops if budget is None else budget
    config.question.num_params, config.question.tokens = asked.num_params, asked.tokens
    first = start(asked.space, max(NEEDED, count), asked.num_params)
    if cost(first) > budget:
        raise UserError(f"--budget is {budget:.3g} FLOPs; the {len(first)} runs of the start cost {cost(first):.3g}")
    with KeptWorkers() as kept:
        make_base(study, asked, workers, per_gpu, retries, kept)
        choices = read_choices(study, asked)
        with choices.held():
            if not choices.rounds:
                choices.add(first)
        wanted = choices.points
        while True:
            if sweep(of_points(study, asked, wanted), workers, per_gpu, retries, kept=kept):
                say(f"{study.name}: a chosen run failed, so nothing more is chosen; the same command tries it again")
                return 1
            with choices.held() as others:
                wanted, why = others, "another sweep of this study has chosen; its runs are shared"
                if not others:
                    wanted, why = _next(config, asked, choices, tolerance, budget, count)
                    if wanted:
                        choices.add(wanted)
            if not wanted:
                spent = f"{len(choices.points)} runs cost {cost(choices.points):.3g} FLOPs"
                say(f"{study.name}: {why}; {spent} (the whole grid: {asked.flops:.3g})")
                say(f"next: {study.fit_command(str(runs_folder(study.points[0])))}")
                return 0
            say(f"{study.name}: {why}")


def read_asked(study: Study) -> tuple[FitConfig, Asked]:
    """How the study is fitted, and the point that its question asks about. UserError if it chooses no share."""
    config = compose_fit(study.fit_overrides(str(runs_folder(study.points[0]))))
    if "share" not in config.question.needs:
        raise UserError(f"{study.file}: its question chooses no share, which is all that --adaptive can choose")
    return config, asked_of(study, config.question)


def of_points(study: Study, asked: Asked, points: Sequence[Point]) -> Study:
    """The study with these points alone."""
    overrides = [asked.overrides_of(point) for point in points]
    return replace(study, points=overrides, law=(), question=(), bases=None, branches=False)


def chosen_study(study: Study) -> Study:
    """What an adaptive sweep of the study has chosen so far. UserError if it was not begun."""
    asked = read_asked(study)[1]
    if not (points := read_choices(study, asked).points):
        raise UserError(f"{study.name}: nothing is chosen yet; `cptlab sweep --adaptive {study.file}` begins it")
    return of_points(study, asked, points)


def _next(
    config: FitConfig, asked: Asked, choices: Choices, tolerance: float, budget: float, count: int
) -> tuple[list[Point], str]:
    """Points of the next round, or none; and why."""
    done = choices.points
    left = budget - cost(done)
    try:
        found = propose(
            config.source, config.law, config.question, tolerance=tolerance, budget=max(left, 1.0), count=count,
            num_draws=min(config.num_draws, 300), seed=config.seed, known=done, space=asked.space,
        )  # fmt: skip
    except TooFewError as error:
        more = [point for point in start(asked.space, len(done) + 1, asked.num_params) if point not in done][:1]
        if len(done) >= SPREAD or not more:
            raise
        fits = cost(more) <= left
        return more if fits else [], f"{error}; {'one more share' if fits else 'the budget is spent'}"
    if set(found.intervals) - {"domain_share"}:
        raise UserError(f"the question chooses {', '.join(found.intervals)}; --adaptive can choose a share alone")
    points = [run.point for run in found.runs if run.point is not None]
    if found.enough or points:
        return points, _said(found, points)
    spent = asked.point(0).flops > left
    return [], f"stopped, {'the budget is spent' if spent else 'no run is left to choose'}: {found.because}"


def _said(found: Proposal, points: Sequence[Point]) -> str:
    if found.enough:
        return found.because
    shares = ", ".join(f"{point.share:g}" + (f" (seed {point.seed})" if point.seed else "") for point in points)
    first, last = found.runs[0].expected, found.runs[-1].expected
    effect = f", width {first.width:.3f} -> {last.after:.3f} expected" if first and last else ""
    return f"{found.because}; next: share {shares}{effect}"


def cost(points: Sequence[Point]) -> float:
    """Of the runs, without bases [FLOP]."""
    return float(np.sum([point.flops for point in points]))
