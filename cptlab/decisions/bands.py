"""Intervals over draws, and the curves that a report draws through a choice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cptlab.decisions.candidates import Array, Candidates
from cptlab.decisions.case import Case
from cptlab.decisions.extrapolation import measured_shares
from cptlab.decisions.recommendation import Curves, Profile

DRAWN = 161  # most points of a profile


def quantiles(draws: Array, level: float) -> tuple[float, float]:
    """Ends of the central interval of draws (k,)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def band(point: Array, draws: Array, level: float) -> Array:
    """(3, m): lower end, point, upper end; the point alone where no draw is whole."""
    whole = draws[np.isfinite(draws[:, np.isfinite(point)]).all(axis=-1)]
    point = np.where(np.isfinite(point), point, np.nan)
    if not len(whole):
        return np.stack([point] * 3)
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(whole, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.stack([low, point, high])


def curves(case: Case, candidates: Candidates, line: int, allowed: Mapping[str, float | None]) -> Curves | None:
    """Losses along the domain share, the rest as in the chosen line; None where it does not run along the share."""
    if candidates.axis != "domain_share" or candidates.length < 2:
        return None
    loss, limits = _bands(case, candidates, line, allowed)
    rising = {name: column[candidates.line(line)] for name, column in candidates.columns.items()}["domain_share"]
    return Curves(rising, loss, limits, measured_shares(case), case.num_params, case.tokens)


def profile(
    case: Case, candidates: Candidates, line: int, allowed: Mapping[str, float | None], level: float
) -> Profile | None:
    """Losses along the axis of the chosen line, where it is no share."""
    if candidates.axis == "domain_share" or candidates.length < 3:
        return None
    loss, limits = _bands(case, candidates, line, allowed)
    values = candidates.columns[candidates.axis][candidates.line(line)]
    some = np.unique(np.linspace(0, len(values) - 1, min(len(values), DRAWN)).astype(int))
    return Profile(
        candidates.axis, values[some], {name: x[:, some] for name, x in loss.items()}, limits,
        candidates.axis in candidates.geometric,
    )  # fmt: skip


def _bands(
    case: Case, candidates: Candidates, line: int, allowed: Mapping[str, float | None]
) -> tuple[dict[str, Array], dict[str, float]]:
    table = {name: column[candidates.line(line)] for name, column in candidates.columns.items()}
    level = case.question.level
    loss = {name: band(*case.predict(role, table), level) for role, name in case.names.items()}
    return loss, {case.names[role]: value for role, value in allowed.items() if role and value is not None}
