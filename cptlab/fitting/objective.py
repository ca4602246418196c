"""The exact objective of every fit: the weighted sum of Huber losses of log residuals.

Least squares on log loss (delta -> inf) and least absolute deviation (delta -> 0) are special cases. The
**sum** is kept, not the mean, so that stopping rules do not depend on the number of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.laws.base import Array, Law

DELTA = 1e-3  # [1] where the Huber loss of a log residual turns from square to absolute (arXiv 2203.15556)
BLOCK = 1 << 18  # numbers of a Jacobian worked on at a time, so that it stays in cache


def huber(residual: Array, delta: float = DELTA) -> Array:
    """r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2)."""
    size = np.abs(residual)
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)


@dataclass(frozen=True)
class Problem:
    """One law on one table. Shapes: n rows, p parameters, B members of a batch (starts, folds, draws).

    loss: (n,) [nat/token]. low, high: (p,) bounds; a fixed parameter has low == high.
    """

    law: Law
    columns: Mapping[str, Array]
    loss: Array
    low: Array
    high: Array
    delta: float = DELTA

    @property
    def num_linear(self) -> int:
        """k, the number of coefficients."""
        return len(self.law.linear)

    @property
    def log_loss(self) -> Array:
        """log of the measured loss, (n,)."""
        return np.log(self.loss)

    def objective(self, theta: Array, weights: Array) -> Array:
        """sum_i w_i huber(log yhat_i - log y_i), (B,); inf where a prediction is not positive.

        theta (B, p), weights (B, n) or (n,).
        """
        total = np.empty(len(theta))
        for block in self._blocks(len(theta)):
            predicted = self.law.predict(theta[block], self.columns)
            terms = huber(_log(predicted) - self.log_loss, self.delta)
            total[block] = np.sum(rows_of(weights, block) * terms, axis=-1)
        return np.where(np.isfinite(total), total, np.inf)

    def normal_equations(self, theta: Array, weights: Array) -> tuple[Array, Array, Array]:
        """Gradient (B, p) of the objective and two models of its curvature (B, p, p).

        The first weighs rows by min(1, delta / |r|) (reweighted least squares: a majoriser, it always
        descends), the second by 1 inside delta and 0 outside (Gauss-Newton: fast once it is known which rows
        lie inside).
        """
        p = theta.shape[1]
        gradient = np.empty((len(theta), p))
        safe, fast = np.empty((2, len(theta), p, p))
        for block in self._blocks(len(theta)):
            predicted, jacobian = self.law.value_and_gradient(theta[block], self.columns)
            residual = _log(predicted) - self.log_loss
            w = rows_of(weights, block)
            irls = w * np.minimum(1, self.delta / np.maximum(np.abs(residual), 1e-300))
            log_jacobian = np.swapaxes(jacobian, -1, -2) / predicted[..., None, :]  # (B, p, n)
            gradient[block] = np.matmul(log_jacobian, (irls * residual)[..., None])[..., 0]
            safe[block] = np.matmul(log_jacobian * irls[..., None, :], log_jacobian.swapaxes(-1, -2))
            inside = w * (np.abs(residual) <= self.delta)
            fast[block] = np.matmul(log_jacobian * inside[..., None, :], log_jacobian.swapaxes(-1, -2))
        return gradient, safe, fast

    def _blocks(self, members: int) -> list[slice]:
        size = max(1, BLOCK // (len(self.loss) * len(self.low)))
        return [slice(i, i + size) for i in range(0, members, size)]


def rows_of(weights: Array, index: slice | NDArray[np.intp]) -> Array:
    """The members `index` of weights (B, n); weights (n,) are every member's."""
    return weights if weights.ndim == 1 else weights[index]


def _log(predicted: Array) -> Array:
    return np.log(np.where(predicted > 0, predicted, np.nan))
