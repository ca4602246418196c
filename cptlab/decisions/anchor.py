"""Where the asked size and tokens were measured, the law is held to the measured losses.

Regression kriging on a line (Hengl et al. 2007): the law is the trend, and the smooth part of its residual at the
asked size and tokens is added back (`kriging`), with its error. Elsewhere the law stands alone, with the misfit of
whole runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.kriging import Kriging
from cptlab.decisions.sizes import same_size

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
SAME_TOKENS = 0.01  # relative difference below which a row stands at the asked tokens
LEVEL = 0.005  # shares closer than this are one
NEEDED = 5  # distinct shares, so that three at least can be left out


@dataclass(frozen=True)
class Anchor:
    """share (m,) rising, of the fitted corpus; rows: m arrays of row numbers of fit.observations."""

    share: Array
    rows: list[NDArray[np.intp]]

    def residual(self, fit: Fit, losses: Array) -> Array:
        """Measured minus predicted at each share; losses (..., n) of the fitted rows -> (..., m) [nat/token]."""
        gap = fit.observations["loss"] - losses
        return np.stack([gap[..., rows].mean(axis=-1) for rows in self.rows], axis=-1)

    def kriging(self, fit: Fit) -> Kriging:
        """The residuals of the point fit as a smooth misfit plus noise."""
        runs = np.array([len(rows) for rows in self.rows], float)
        level = float(np.median(fit.observations["loss"]))
        residual = self.residual(fit, fit.predicted)
        return Kriging(self.share, runs, residual, level, fit.seed_noise or 0.0, fit.seed_freedom)


def anchor_at(fit: Fit, num_params: float, tokens: float) -> Anchor | None:
    """The measured shares at that size and those tokens; None where fewer than five were."""
    columns = fit.observations.columns
    if not {"share", "num_params", "tokens"} <= columns.keys():
        return None
    at = same_size(columns["num_params"], num_params)
    at &= np.isclose(columns["tokens"], tokens, rtol=SAME_TOKENS)
    where = np.flatnonzero(at)
    where = where[np.argsort(columns["share"][where], kind="stable")]
    share = columns["share"][where]
    groups = np.split(where, 1 + np.flatnonzero(np.diff(share) > LEVEL)) if len(where) else []
    if len(groups) < NEEDED:
        return None
    return Anchor(np.array([columns["share"][rows].mean() for rows in groups]), groups)
