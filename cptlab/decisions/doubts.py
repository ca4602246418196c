"""Why an answer may be wrong: each doubt is one sentence, and one is enough for `measure_first`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cptlab.decisions.candidates import Candidates
from cptlab.decisions.case import Case
from cptlab.decisions.extrapolation import NEAR, range_doubts
from cptlab.decisions.found import Found, is_share
from cptlab.decisions.held_out import LEFT_OUT, PROTOCOLS, held_out_doubts, rmse
from cptlab.decisions.question import Question

STEP = 0.02  # half the width over which the slope at the choice is taken


def doubts(
    case: Case,
    question: Question,
    candidates: Candidates,
    found: Found,
    intervals: Mapping[str, tuple[float, float]],
) -> Iterator[str]:
    """Reasons to measure first."""
    yield from unconverged(case)
    if not len(found.met):
        yield "the fits have no draws, so there is no interval"
    elif (unmet := 1 - float(np.mean(found.met))) > 1 - question.level:
        yield f"in {unmet:.0%} of the draws no {found.noun} meets the question"
    for name, (low, high) in intervals.items():
        yield from _interval_doubts(question, name, found.values[name], low, high)
    for name, share in found.agreed.items():
        if share < question.level and len(found.met):
            yield f"only {share:.0%} of the draws choose {name} {found.labels[name]}"
    if not found.is_interval:
        yield (
            f"the {'shares' if found.noun == 'share' else f'values of {candidates.axis}'} that meet the question have "
            "a gap between them, which the data should confirm"
        )
    if not found.binds and not candidates.listed:
        for name, side in found.at_ends(candidates).items():
            if not is_share(name):
                yield f"the best {name} lies at the {side} end of what was asked, {found.values[name]:.4g}"
    yield from held_out_doubts(case, candidates.varied)
    yield from _limit_doubts(case, question, candidates, found)
    yield from range_doubts(case, found.values)


def unconverged(case: Case) -> Iterator[str]:
    """Fits that did not converge."""
    for role, fit in case.fits.items():
        if not fit.success:
            yield f"the fit of {case.names[role]} did not converge"


def _interval_doubts(question: Question, name: str, chosen: float, low: float, high: float) -> Iterator[str]:
    """An interval that is too wide, or that does not hold the choice."""
    what = "share" if name == "domain_share" else name
    if is_share(name):
        if high - low > question.max_interval_width:
            yield (
                f"the {question.level:.0%} interval of the {what}, {low:.3f} to {high:.3f}, is wider than "
                f"{question.max_interval_width:g} (question.max_interval_width)"
            )
        if not low - NEAR <= chosen <= high + NEAR:
            yield f"the choice {chosen:.3f} lies outside its own interval {low:.3f} to {high:.3f}"
        return
    if high > low * question.max_interval_factor:
        yield (
            f"the {question.level:.0%} interval of {what}, {low:.4g} to {high:.4g}, spans more than a factor of "
            f"{question.max_interval_factor:g} (question.max_interval_factor)"
        )
    if not low / (1 + NEAR) <= chosen <= high * (1 + NEAR):
        yield f"the chosen {what} {chosen:.4g} lies outside its own interval {low:.4g} to {high:.4g}"


def _limit_doubts(case: Case, question: Question, candidates: Candidates, found: Found) -> Iterator[str]:
    """A held-out error that moves the choice along the axis, where the limit lies within that error."""
    axis, line = candidates.axis, candidates.line(found.index // candidates.length)
    if candidates.length < 2 or axis in found.at_ends(candidates):
        return
    logarithmic = not is_share(axis) and axis in candidates.geometric
    scale = np.log if logarithmic else np.asarray
    x, chosen = scale(candidates.columns[axis][line]), float(scale(found.values[axis]))
    room = np.log(question.max_interval_factor) if logarithmic else question.max_interval_width
    if not logarithmic and not is_share(axis):
        return
    ends = np.clip([chosen - STEP, chosen + STEP], x[0], x[-1])
    for limit in found.limits:
        fit = case.fits.get(limit.role)
        held = None if fit is None else case.anchored_error(limit.role, candidates.columns)
        error = None if fit is None else rmse(fit, PROTOCOLS.get(axis, "ratio")) if held is None else held
        if error is None or error < -np.interp(chosen, x, limit.excess[line]):
            continue
        slope = float(abs(np.diff(np.interp(ends, x, limit.excess[line]))[0] / np.diff(ends)[0]))
        if error > slope * room:
            moves = error / max(slope, 1e-9)
            far = f"{min(moves, 1):.2f}" if not logarithmic else f"a factor of {np.exp(min(moves, 9)):.3g}"
            left, name = LEFT_OUT[PROTOCOLS.get(axis, "ratio")], case.names[limit.role]
            held_law = "law" if held is None else "law, held to the other shares,"
            yield f"on {left} the {held_law} misses {name} by {error:.3g} nat, which moves the choice by {far}"
