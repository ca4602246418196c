"""Why an answer may be wrong: each doubt is one sentence, and one is enough for `measure_first`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.candidates import Candidates, Limit
from cptlab.decisions.case import Case
from cptlab.decisions.question import Question

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
REACH = 10  # times the measured range that a tested extrapolation in size or tokens may go
STEP = 0.02  # half the width over which the slope at the choice is taken
NEAR = 0.01  # how far outside the measured shares, or relatively the tokens, still counts as inside
SHARES = ("domain_share", "replay_share", "general_share", "share")
# Chosen quantity -> the held-out protocol that tests a law along it, and what that leaves out, in words.
PROTOCOLS = {"domain_share": "ratio", "num_params": "size", "tokens": "tokens"}
LEFT_OUT = {"ratio": "left-out shares", "size": "a left-out size", "tokens": "left-out tokens"}
READS = {
    "domain_share": ("share", "domain_share", "general_share"),
    "peak_lr": ("peak_lr", "lr_area", "anneal_area"),
    "potential": ("base_lr_area", "base_anneal_area"),
}


@dataclass(frozen=True)
class Found:
    """What the point fit and the draws choose.

    values, labels: the choice. agreed: label -> share of the draws that choose the same. draws: varied quantity ->
    choices of the draws (k,). met: (num_draws,) whether a draw has an answer. index: nearest candidate. limits: under
    the point fit, excess (m,). binds: numbers of the limits that bind. noun: what a candidate is called.
    """

    values: Mapping[str, float]
    labels: Mapping[str, str]
    agreed: Mapping[str, float]
    draws: Mapping[str, Array]
    met: NDArray[np.bool_]
    index: int
    is_interval: bool
    limits: Sequence[Limit]
    binds: Sequence[int]
    noun: str

    def at_ends(self, candidates: Candidates) -> dict[str, str]:
        """Varied quantity -> `upper` or `lower`, where the choice lies at that end of the candidates."""
        ends = {}
        for name in candidates.varied:
            if name in candidates.follows:
                continue
            low, high = candidates.ends(name)
            if np.isclose(self.values[name], high, rtol=1e-9, atol=0):
                ends[name] = "upper"
            elif np.isclose(self.values[name], low, rtol=1e-9, atol=0):
                ends[name] = "lower"
        return ends

    def end_points(self, intervals: Mapping[str, tuple[float, float]]) -> list[dict[str, float]]:
        """The whole choices of the two draws at the ends of the widest interval; none where shares alone vary."""
        spans = {name: span(name, *ends) for name, ends in intervals.items()}
        if not spans or set(spans) == {"domain_share"}:
            return []
        widest = max(spans, key=lambda name: spans[name])
        at = [int(np.argmin(np.abs(self.draws[widest] - end))) for end in intervals[widest]]
        return [{name: float(x[k]) for name, x in self.draws.items() if len(x) > k} for k in at]


def span(name: str, low: float, high: float) -> float:
    """Width of an interval of a share, logarithm of the factor of any other."""
    return high - low if is_share(name) else float(np.log(high / low)) if low > 0 else np.inf


def is_share(name: str) -> bool:
    """Whether a quantity is a share of the tokens."""
    return name in SHARES or name.startswith("share_")


def extrapolation(case: Case, values: Mapping[str, float]) -> list[str]:
    """One sentence for each quantity outside the measured range."""
    sentences = [sentence for _, _, sentence in outside(case, values)]
    low, high = measured_shares(case)
    chosen = values.get("domain_share", np.nan)
    if chosen > high + NEAR:
        sentences.append(f"domain_share {chosen:.3f} is above the largest measured {high:.3g}")
    if chosen < low - NEAR:
        sentences.append(f"domain_share {chosen:.3f} is below the smallest measured {low:.3g}")
    return sentences + list(_corpora_outside(case, values)) + case.guessed


def _corpora_outside(case: Case, values: Mapping[str, float]) -> Iterator[str]:
    """One sentence for each corpus whose share lies outside what was measured."""
    for role, corpus in case.names.items():
        support, chosen = case.fits[role].support, values.get(f"share_{corpus}")
        low, high = support.get("share", support.get(f"share_{corpus}", (0.0, 1.0)))
        if chosen is not None and not low - NEAR <= chosen <= high + NEAR:
            yield f"share_{corpus} {chosen:.3f} lies outside the measured {low:.3g} to {high:.3g}"


def measured_shares(case: Case) -> tuple[float, float]:
    """(smallest, largest) measured domain share; (0, 1) for a law that reads no share."""
    support = case.fits["domain"].support
    for name in ("share", "domain_share", f"share_{case.names['domain']}"):
        if name in support:
            return support[name]
    for name in ("general_share", f"share_{case.general}"):
        if name in support:
            return 1 - support[name][1], 1 - support[name][0]
    return 0.0, 1.0


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


def _protocols(fit: Fit, varied: Sequence[str]) -> list[str]:
    """Held-out protocols that test a law along the chosen quantities; every measured one where none is known."""
    mixed = any(is_share(name) for name in fit.law.inputs)
    of_corpus = any(name.startswith("share_") for name in varied) and mixed
    read = [name for name in varied if set(READS.get(name, (name,))) & set(fit.law.inputs)]
    known = ["ratio"] * of_corpus + [PROTOCOLS[name] for name in read if name in PROTOCOLS]
    return known or (list(fit.heldout) if read else [])


def held_out_doubts(case: Case, varied: Sequence[str]) -> Iterator[str]:
    """A law that does no better on left-out runs than the nearest run gives no reason to believe it."""
    for role, fit in case.fits.items():
        name, protocols = case.names[role], _protocols(fit, varied)
        measured = [protocol for protocol in protocols if rmse(fit, protocol) is not None]
        for protocol in measured:
            ours, theirs = rmse(fit, protocol), rmse(fit, protocol, "nearest_run")
            if ours is not None and theirs is not None and ours >= theirs:
                yield (
                    f"on {LEFT_OUT.get(protocol, protocol)} the law misses {name} by {ours:.3g} nat, no better than "
                    f"the nearest run ({theirs:.3g})"
                )
        if not measured and set(varied) & {*PROTOCOLS, *fit.law.inputs}:
            missing = " or ".join(LEFT_OUT[protocol] for protocol in protocols) or "left-out runs"
            if protocols or not fit.heldout:
                yield f"the error of {name} on {missing} was not measured"


def held_out_sentence(case: Case, varied: Sequence[str]) -> str:
    """That left-out runs are predicted well, with the errors; '' where nothing of it was measured."""
    errors: dict[str, list[str]] = {}
    for role, fit in case.fits.items():
        for protocol in _protocols(fit, varied):
            ours, theirs = fit.heldout.get(protocol), fit.baselines.get("nearest_run", {}).get(protocol)
            if ours is not None and theirs is not None:
                errors.setdefault(protocol, []).append(
                    f"{case.names[role]} {ours.rmse:.3g} against {theirs.rmse:.3g} nat of the nearest run"
                )
    return ", ".join(f"{LEFT_OUT.get(key, key)} are predicted well ({', '.join(x)})" for key, x in errors.items())


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
        error = None if fit is None else rmse(fit, PROTOCOLS.get(axis, "ratio"))
        if error is None or error < -np.interp(chosen, x, limit.excess[line]):
            continue
        slope = float(abs(np.diff(np.interp(ends, x, limit.excess[line]))[0] / np.diff(ends)[0]))
        if error > slope * room:
            moves = error / max(slope, 1e-9)
            far = f"{min(moves, 1):.2f}" if not logarithmic else f"a factor of {np.exp(min(moves, 9)):.3g}"
            left, name = LEFT_OUT[PROTOCOLS.get(axis, "ratio")], case.names[limit.role]
            yield f"on {left} the law misses {name} by {error:.3g} nat, which moves the choice by {far}"


def range_doubts(case: Case, values: Mapping[str, float]) -> Iterator[str]:
    """Extrapolation that no held-out test backs."""
    low, high = measured_shares(case)
    chosen = values.get("domain_share", low)
    if not low - NEAR <= chosen <= high + NEAR:
        yield f"the choice {chosen:.3f} lies outside the measured shares {low:.3g} to {high:.3g}"
    yield from _corpora_outside(case, values)
    for protocol, factor, sentence in outside(case, values):
        tested = all(
            (ours := rmse(fit, protocol)) is not None
            and (theirs := rmse(fit, protocol, "nearest_run")) is not None
            and ours < theirs
            for fit in case.fits.values()
        )
        if factor > REACH:
            yield f"{sentence}, farther than {REACH}x"
        elif not tested:
            yield f"{sentence}, and no held-out {protocol or 'runs'} shows that the law reaches so far"
    yield from case.guessed


def outside(case: Case, values: Mapping[str, float]) -> Iterator[tuple[str, float, str]]:
    """(held-out protocol, factor, sentence) of quantities but shares where they leave the measured range."""
    asked = {"num_params": case.num_params, "tokens": case.tokens} | dict(case.question.given) | dict(values)
    for name, value in asked.items():
        ranges = [fit.support[name] for fit in case.fits.values() if name in fit.support]
        if not ranges and (one := _the_one(case, name)) is not None and abs(value - one) > 2 * NEAR * one:
            yield "", 1.0, f"{name} {value:.4g} is not the {one:.4g} of all fitted runs, and the law does not read it"
        if not ranges or is_share(name):
            continue
        low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
        protocol = PROTOCOLS.get(name, "")
        if value > high * (1 + NEAR):
            times = value / high if high > 0 else np.inf
            is_times = f"is {times:.3g}x the largest measured" if high > 0 else "is above the largest measured"
            yield protocol, times, f"{name} {value:.4g} {is_times} {high:.4g}"
        elif value < low / (1 + NEAR):
            times = low / value if value > 0 else np.inf
            is_times = f"is 1/{times:.3g} of the smallest measured" if value > 0 else "is below the smallest measured"
            yield protocol, times, f"{name} {value:.4g} {is_times} {low:.4g}"


def _the_one(case: Case, name: str) -> float | None:
    """The one value that a law asks of a column which it does not read; None where it asks for none."""
    for fit in case.fits.values():
        if name in getattr(fit.law, "one", ()) and name in fit.observations.columns and "share" not in name:
            return float(fit.observations[name].max())
    return None


def rmse(fit: Fit, protocol: str, baseline: str = "") -> float | None:
    """Held-out RMSE of loss - base loss [nat/token]; None where it was not measured."""
    table = fit.baselines.get(baseline, {}) if baseline else fit.heldout
    found = table.get(protocol)
    return None if found is None else float(found.rmse_delta if np.isfinite(found.rmse_delta) else found.rmse)
