"""Where the asked size and tokens were measured, the law passes through the measured losses.

Regression kriging on a line (Hengl et al. 2007): the law is the trend, and its residual at the asked size and
tokens, interpolated over the share, is added back. What is left is the error of that interpolation, measured
by leaving each interior share out in turn. Elsewhere the law stands alone, with the misfit of whole runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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

    def correction(self, residual: Array, share: Array) -> Array:
        """Residuals (..., m) interpolated linearly at share (k,), constant beyond the ends: (..., k)."""
        place = np.clip(np.searchsorted(self.share, share) - 1, 0, len(self.share) - 2)
        low, high = self.share[place], self.share[place + 1]
        weight = np.clip((share - low) / (high - low), 0, 1)
        return residual[..., place] * (1 - weight) + residual[..., place + 1] * weight

    def error(self, residual: Array, share: Array) -> Array:
        """Error of the interpolation at share (k,): each interior share left out in turn, RMS over three neighbours.

        Leaving a share out doubles the gap, so this errs on the wide side. residual (m,). Returns (k,) [nat/token].
        """
        x, inner = self.share, slice(1, -1)
        weight = (x[inner] - x[:-2]) / (x[2:] - x[:-2])
        square = (residual[inner] - residual[:-2] * (1 - weight) - residual[2:] * weight) ** 2
        window = np.ones(3)
        local = np.convolve(square, window, "same") / np.convolve(np.ones_like(square), window, "same")
        return np.sqrt(np.interp(share, x[inner], local[: len(x) - 2]))


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
