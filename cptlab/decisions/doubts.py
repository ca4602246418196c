"""Why an answer may be wrong: each doubt is one sentence, and one is enough for `measure_first`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.case import Case
from cptlab.decisions.question import Answer, Question

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
REACH = 10  # times the measured range that a tested extrapolation in size or tokens may go
STEP = 0.02  # half the width over which the slope at the choice is taken
NEAR = 0.01  # how far outside the measured shares, or relatively the tokens, still counts as inside


def extrapolation(case: Case, chosen: float) -> list[str]:
    """One sentence for each quantity outside the measured range."""
    sentences = [sentence for _, _, sentence in _outside(case)]
    low, high = measured_shares(case)
    if chosen > high + NEAR:
        sentences.append(f"domain_share {chosen:.3f} is above the largest measured {high:.3g}")
    if chosen < low - NEAR:
        sentences.append(f"domain_share {chosen:.3f} is below the smallest measured {low:.3g}")
    return sentences + case.guessed


def measured_shares(case: Case) -> tuple[float, float]:
    """(smallest, largest) measured domain share; (0, 1) for a law that reads no share."""
    return case.fits["domain"].support.get("share", (0.0, 1.0))


def doubts(case: Case, question: Question, point: Answer, share_draws: Array, met: Array) -> Iterator[str]:
    """Reasons to measure first. share_draws (k,) with 0 where a draw meets nothing, met (k,) in {0, 1}."""
    for role, fit in case.fits.items():
        if not fit.success:
            yield f"the fit of {case.names[role]} did not converge"
    chosen = float(point.share)
    tail = (1 - question.level) / 2
    if not len(share_draws):
        yield "the fits have no draws, so there is no interval"
    else:
        low, high = np.quantile(share_draws, [tail, 1 - tail])
        if high - low > question.max_interval_width:
            yield (
                f"the {question.level:.0%} interval of the share, {low:.3f} to {high:.3f}, is wider than "
                f"{question.max_interval_width:g} (question.max_interval_width)"
            )
        if not low - NEAR <= chosen <= high + NEAR:
            yield f"the choice {chosen:.3f} lies outside its own interval {low:.3f} to {high:.3f}"
        if (unmet := 1 - float(np.mean(met))) > 1 - question.level:
            yield f"in {unmet:.0%} of the draws no share meets the question"
    if not bool(point.is_interval):
        yield "the shares that meet the question have a gap between them, which the data should confirm"
    yield from _heldout_doubts(case, question, chosen)
    yield from _range_doubts(case, chosen)


def _heldout_doubts(case: Case, question: Question, chosen: float) -> Iterator[str]:
    """A law that does no better on left-out shares than the nearest run gives no reason to believe it."""
    for role, fit in case.fits.items():
        name, ours, theirs = case.names[role], _rmse(fit, "ratio"), _rmse(fit, "ratio", "nearest_run")
        if ours is None:
            yield f"the error of {name} on left-out shares was not measured"
        elif theirs is not None and ours >= theirs:
            yield (
                f"on left-out shares the law misses {name} by {ours:.3g} nat, no better than the nearest run "
                f"({theirs:.3g})"
            )
    for role in question.limits(case.base_loss):
        error, slope = _rmse(case.fits[role], "ratio"), _slope(case, role, chosen)
        if 0 < chosen < 1 and error is not None and error > slope * question.max_interval_width:
            yield (
                f"on left-out shares the law misses {case.names[role]} by {error:.3g} nat, which moves the "
                f"choice by {min(error / max(slope, 1e-9), 1):.2f}"
            )


def _slope(case: Case, role: str, chosen: float) -> float:
    """|dL/dr| of the point fit around the choice [nat/token]."""
    ends = np.clip([chosen - STEP, chosen + STEP], 0, 1)
    loss, _ = case.predict(role, ends)
    return float(abs(np.diff(loss)[0] / np.diff(ends)[0]))


def _range_doubts(case: Case, chosen: float) -> Iterator[str]:
    """Extrapolation that no held-out test backs."""
    low, high = measured_shares(case)
    if not low - NEAR <= chosen <= high + NEAR:
        yield f"the choice {chosen:.3f} lies outside the measured shares {low:.3g} to {high:.3g}"
    for protocol, factor, sentence in _outside(case):
        tested = all(
            (ours := _rmse(fit, protocol)) is not None
            and (theirs := _rmse(fit, protocol, "nearest_run")) is not None
            and ours < theirs
            for fit in case.fits.values()
        )
        if factor > REACH:
            yield f"{sentence}, farther than {REACH}x"
        elif not tested:
            yield f"{sentence}, and no held-out {protocol} shows that the law reaches so far"
    yield from case.guessed


def _outside(case: Case) -> Iterator[tuple[str, float, str]]:
    """(held-out protocol, factor, sentence) of size and tokens where they leave the measured range."""
    for name, protocol, value in (("num_params", "size", case.num_params), ("tokens", "tokens", case.tokens)):
        ranges = [fit.support[name] for fit in case.fits.values() if name in fit.support]
        if not ranges:
            continue
        low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
        if value > high * (1 + NEAR):
            times = value / high
            yield protocol, times, f"{name} {value:.4g} is {times:.3g}x the largest measured {high:.4g}"
        elif value < low / (1 + NEAR):
            times = low / value
            yield protocol, times, f"{name} {value:.4g} is 1/{times:.3g} of the smallest measured {low:.4g}"


def _rmse(fit: Fit, protocol: str, baseline: str = "") -> float | None:
    """Held-out RMSE of loss - base loss [nat/token]; None where it was not measured."""
    table = fit.baselines.get(baseline, {}) if baseline else fit.heldout
    found = table.get(protocol)
    return None if found is None else float(found.rmse_delta if np.isfinite(found.rmse_delta) else found.rmse)
