"""What lies outside the measured range, and whether left-out runs back it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cptlab.decisions.case import Case
from cptlab.decisions.found import is_share
from cptlab.decisions.held_out import PROTOCOLS, rmse

REACH = 10  # times the measured range that a tested extrapolation in size or tokens may go
NEAR = 0.01  # how far outside the measured shares, or relatively the tokens, still counts as inside


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
