"""Where the asked size and tokens were measured, the law is held to the measured losses.

Regression kriging on a line (Hengl et al. 2007): the law is the trend, and the smooth part of its residual at the
asked size and tokens is added back (`kriging`), with its error. Elsewhere the law stands alone, with the misfit of
whole runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.kriging import Kriging
from cptlab.decisions.sizes import near_size

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
NEAR_TOKENS = 0.1  # how far outside a run's checkpoints the asked tokens may lie, relatively
LEVEL = 0.005  # shares closer than this are one
NEEDED = 5  # distinct shares, so that three at least can be left out


@dataclass(frozen=True)
class Anchor:
    """What was measured at one size and number of tokens, between two checkpoints if need be.

    share (m,) rising, of the fitted corpus; rows, weights: m arrays, row numbers of fit.observations and what each
    counts; runs (m,) at each share.
    """

    share: Array
    rows: list[NDArray[np.intp]]
    weights: list[Array]
    runs: Array

    def residual(self, fit: Fit, losses: Array) -> Array:
        """Measured minus predicted at each share; losses (..., n) of the fitted rows -> (..., m) [nat/token]."""
        gap = fit.observations["loss"] - losses
        return np.stack([gap[..., rows] @ weights for rows, weights in zip(self.rows, self.weights, strict=True)], -1)

    def kriging(self, fit: Fit) -> Kriging:
        """The residuals of the point fit as a smooth misfit plus noise."""
        level = float(np.median(fit.observations["loss"]))
        residual = self.residual(fit, fit.predicted)
        return Kriging(self.share, self.runs, residual, level, fit.seed_noise or 0.0, fit.seed_freedom)


def anchor_at(fit: Fit, num_params: float, tokens: float) -> Anchor | None:
    """The measured shares at that size and those tokens; None where fewer than five were.

    Each run counts with the two checkpoints about the asked tokens, by their distance in log tokens.
    """
    columns = fit.observations.columns
    if not {"share", "num_params", "tokens"} <= columns.keys():
        return None
    of_size = np.flatnonzero(near_size(columns["num_params"], num_params))
    runs = fit.observations.run[of_size]
    places = [_place(columns, of_size[runs == run], tokens) for run in np.unique(runs)]
    found = sorted((place for place in places if place is not None), key=lambda place: place[0])
    share = np.array([place[0] for place in found])
    groups = np.split(np.arange(len(found)), 1 + np.flatnonzero(np.diff(share) > LEVEL)) if found else []
    if len(groups) < NEEDED:
        return None
    return Anchor(
        np.array([share[group].mean() for group in groups]),
        [np.concatenate([found[i][1] for i in group]) for group in groups],
        [np.concatenate([found[i][2] for i in group]) / len(group) for group in groups],
        np.array([len(group) for group in groups], float),
    )


def _place(
    columns: Mapping[str, Array], rows: NDArray[np.intp], tokens: float
) -> tuple[float, NDArray[np.intp], Array] | None:
    """Share, rows and weights of one run at some tokens; None where its checkpoints do not reach there."""
    rows = rows[np.argsort(columns["tokens"][rows], kind="stable")]
    at = columns["tokens"][rows]
    if not at[0] / (1 + NEAR_TOKENS) <= tokens <= at[-1] * (1 + NEAR_TOKENS):
        return None
    upper = int(np.clip(np.searchsorted(at, tokens), 1, max(len(at) - 1, 1)))
    pair = rows[upper - 1 : upper + 1]
    low, high = at[upper - 1], at[min(upper, len(at) - 1)]
    part = float(np.clip(np.log(tokens / low) / np.log(high / low), 0, 1)) if high > low else 1.0
    weights = np.array([1 - part, part])[-len(pair) :]
    return float(columns["share"][pair] @ weights), pair[weights > 0], weights[weights > 0]
