"""Regression kriging with a nugget: a law's residuals at a few shares, as a smooth misfit plus the noise of runs.

residual_j = constant + f(x_j) + noise_j, f a Gaussian process with Matérn-3/2 covariance in the logit of the share
(losses bend most where one corpus runs out; usual designs space shares evenly there), noise of variance
s^2 / (runs at x_j). How large f is against the noise and how far it reaches are averaged over (flat prior on a
grid), since seven shares cannot tell one pair of values; constant and s are integrated out (Handcock & Stein 1993), s
with what repeats with another seed tell of it.
Pure noise then leaves the law alone, and a smooth misfit is followed: interpolation through every measured loss is
the special case of no noise, the law shifted by its mean residual that of f = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RATIOS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)  # standard deviation of f over that of a run's noise
REACHES = (0.5, 1.5, 5.0)  # length scale of f in `logit`s; from share 0 to 1 it is 6
EDGE = 0.05  # [1] shares this near 0 or 1 are about the same
KNOTS = 41  # shares at which errors are drawn; linear between
TINY = 1e-300


@dataclass(frozen=True)
class Model:
    """One pair of ratio and reach. weight: posterior probability.

    inverse (m, m): of the residuals' covariance in units of s^2. Q (m, m): residual' Q residual / (m - 1) is near s^2.
    """

    ratio: float
    reach: float
    weight: float
    inverse: Array
    Q: Array

    def weights_at(self, share: Array, x: Array) -> Array:
        """W (k, m): the misfit at x (k,) is W residual; share (m,)."""
        ones = self.inverse.sum(axis=0)
        between = self.ratio**2 * matern(logit(x)[:, None] - logit(share), self.reach)
        return ones / ones.sum() + between @ self.Q

    def root_at(self, share: Array, x: Array) -> Array:
        """R (k, k) with R R' = covariance of the misfit's error at x (k,), in units of s^2."""
        between = self.ratio**2 * matern(logit(x)[:, None] - logit(share), self.reach)
        ones = self.inverse.sum(axis=0)
        off = 1 - between @ ones
        covariance = (
            self.ratio**2 * matern(logit(x)[:, None] - logit(x), self.reach) - between @ self.inverse @ between.T
        )
        value, vector = np.linalg.eigh(covariance + np.outer(off, off) / ones.sum())
        return vector * np.sqrt(np.maximum(value, 0))


@dataclass(frozen=True)
class Kriging:
    """share (m,) rising; runs (m,) at each; residual (m,) measured minus predicted by the point fit [nat/token].

    noise: standard deviation of repeats [nat/token], known with so many degrees of `freedom`; 0 where nothing repeats.
    """

    share: Array
    runs: Array
    residual: Array
    noise: float = 0.0
    freedom: int = 0

    def models(self) -> list[Model]:
        """Every ratio and reach with its posterior probability given the residuals."""
        found = [self._model(ratio, reach) for ratio, reach in _pairs()]
        log = np.array([entry[2] for entry in found])
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        return [Model(a, b, float(w), C, Q) for (a, b, _, C, Q), w in zip(found, weight, strict=True)]

    def mean(self, x: Array) -> Array:
        """Expected misfit at x (k,)."""
        return (
            sum((m.weight * m.weights_at(self.share, x) for m in self.models()), np.zeros((len(x), 1))) @ self.residual
        )

    def draws(self, x: Array, residuals: Array, rng: np.random.Generator) -> Array:
        """Misfits at x (k,) under draws of the law with residuals (K, m), each with an error of its own: (K, k)."""
        models = self.models()
        chosen = rng.choice(len(models), len(residuals), p=[one.weight for one in models])
        spread = rng.chisquare(self.freedom + len(self.share) - 1, len(residuals))
        normal = rng.standard_normal((len(residuals), KNOTS))
        knots = expit(np.linspace(logit(np.zeros(1)), logit(np.ones(1)), KNOTS)[:, 0])
        result = np.empty((len(residuals), len(x)))
        for number in np.unique(chosen):
            some, model = chosen == number, models[number]
            scale = np.sqrt(self._squares(model.Q) / spread[some])
            errors = scale[:, None] * (normal[some] @ model.root_at(self.share, knots).T)
            drawn = np.stack([np.interp(x, knots, error) for error in errors])
            result[some] = residuals[some] @ model.weights_at(self.share, x).T + drawn
        return result

    def _model(self, ratio: float, reach: float) -> tuple[float, float, float, Array, Array]:
        """Ratio, reach, log posterior probability up to a constant, inverse of the covariance, Q."""
        K = ratio**2 * matern(logit(self.share)[:, None] - logit(self.share), reach) + np.diag(1 / self.runs)
        inverse = np.asarray(np.linalg.inv(K), np.float64)
        ones = inverse.sum(axis=0)
        Q = inverse - np.outer(ones, ones) / ones.sum()
        square = max(self._squares(Q), TINY)
        known = self.freedom + len(K) - 1
        evidence = -0.5 * (np.linalg.slogdet(K)[1] + np.log(ones.sum()) + known * np.log(square))
        prior = -np.log(1 if ratio == 0 else len(REACHES))
        return ratio, reach, float(evidence + prior), inverse, np.asarray(Q)

    def _squares(self, Q: Array) -> float:
        """Sum of squares that tells s: of the repeats and of the residuals [(nat/token)^2]."""
        return self.freedom * self.noise**2 + max(float(self.residual @ Q @ self.residual), 0.0)


def matern(distance: Array, reach: float) -> Array:
    """Matérn covariance of smoothness 3/2, 1 at distance 0."""
    scaled = np.sqrt(3) * np.abs(distance) / reach
    return (1 + scaled) * np.exp(-scaled)


def logit(share: Array) -> Array:
    """log((share + EDGE) / (1 - share + EDGE))."""
    return np.log((share + EDGE) / (1 - share + EDGE))


def expit(x: Array) -> Array:
    """The share at a logit."""
    odds = np.exp(x)
    return (odds * (1 + EDGE) - EDGE) / (1 + odds)


def _pairs() -> Iterator[tuple[float, float]]:
    for ratio in RATIOS:
        yield from ((ratio, reach) for reach in (REACHES if ratio else REACHES[:1]))
