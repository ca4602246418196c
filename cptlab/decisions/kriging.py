"""Regression kriging with a nugget: a law's residuals at a few shares, as a smooth misfit plus the noise of runs.

residual_j = constant + f(x_j) + noise_j, f a Gaussian process with Matérn-3/2 covariance in the logit of the share
(losses bend most where one corpus runs out; usual designs space shares evenly there), noise of variance
s^2 / (runs at x_j). How large f is against the noise and how far it reaches are averaged over (flat prior on a
grid), since seven shares cannot tell one pair of values; constant and s are integrated out (Handcock & Stein 1993), s
with what repeats with another seed tell of it.

An end of the shares may stand alone: a corpus that is no longer seen at all can be lost by far more than its
neighbours lead to expect. Then the others tell the misfit, and from the last of them a power of the distance leads to
the measured end.

Pure noise leaves the law alone, and a smooth misfit is followed: interpolation through every measured loss is the
special case of no noise, the law shifted by its mean residual that of f = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import lgamma

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RATIOS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)  # standard deviation of f over that of a run's noise
REACHES = (0.5, 1.5, 5.0)  # length scale of f in `logit`s; from share 0 to 1 it is 6
EDGE = 0.05  # [1] shares this near 0 or 1 are about the same
KNOTS = 41  # shares at which errors are drawn; linear between
ALONE = 0.1  # prior probability that an end stands alone
POWERS = (0.5, 1.0, 2.0, 4.0)  # of the distance, on the way to such an end
LEAST = 4  # shares that tell a misfit
TINY = 1e-300


@dataclass(frozen=True)
class Model:
    """One ratio and reach, one choice of ends that stand alone and of the way there.

    weight: posterior probability. share, runs (m,); kept: those that tell the misfit. inverse (m', m'): of the
    covariance of their residuals in units of s^2. Q (m', m'): residual' Q residual / (m' - 1) is near s^2.
    """

    ratio: float
    reach: float
    power: float
    weight: float
    share: Array
    runs: Array
    kept: slice
    inverse: Array
    Q: Array

    def weights_at(self, x: Array) -> Array:
        """W (k, m): the misfit at x (k,) is W residual."""
        inside, part, end = self._way(x)
        ones = self.inverse.sum(axis=0)
        result = np.zeros((len(x), len(self.share)))
        result[:, self.kept] = ones / ones.sum() + self._between(inside) @ self.Q
        result *= 1 - part[:, None]
        result[np.arange(len(x)), end] += part
        return result

    def root_at(self, x: Array) -> Array:
        """R (k, k + 2) with R R' = covariance of the misfit's error at x (k,), in units of s^2.

        The last two columns are the noise of the ends that stand alone.
        """
        inside, part, end = self._way(x)
        between, ones = self._between(inside), self.inverse.sum(axis=0)
        off = 1 - between @ ones
        covariance = self.ratio**2 * matern(inside, inside, self.reach) - between @ self.inverse @ between.T
        value, vector = np.linalg.eigh(covariance + np.outer(off, off) / ones.sum())
        ends = np.zeros((len(x), 2))
        ends[np.arange(len(x)), (end > 0).astype(int)] = part / np.sqrt(self.runs[end])
        return np.hstack([(1 - part[:, None]) * vector * np.sqrt(np.maximum(value, 0)), ends])

    def _between(self, x: Array) -> Array:
        return self.ratio**2 * matern(x, self.share[self.kept], self.reach)

    def _way(self, x: Array) -> tuple[Array, Array, NDArray[np.int_]]:
        """x moved to the kept shares' range, how far it is from there to an end that stands alone, and which end."""
        kept = self.share[self.kept]
        inside, part, end = x.copy(), np.zeros(len(x)), np.zeros(len(x), int)
        for number, near in ((0, kept[0]), (len(self.share) - 1, kept[-1])):
            far = self.share[number]
            if far == near:
                continue
            beyond = (x - near) * (far - near) > 0
            inside[beyond], end[beyond] = near, number
            part[beyond] = np.clip((x[beyond] - near) / (far - near), 0, 1) ** self.power
        return inside, part, end


@dataclass(frozen=True)
class Kriging:
    """share (m,) rising; runs (m,) at each; residual (m,) measured minus predicted by the point fit [nat/token].

    level: typical loss [nat/token], as far as an end may lie off. noise: standard deviation of repeats [nat/token],
    known with so many degrees of `freedom`; 0 where nothing repeats.
    """

    share: Array
    runs: Array
    residual: Array
    level: float
    noise: float = 0.0
    freedom: int = 0

    @cached_property
    def models(self) -> list[Model]:
        """Every model with its posterior probability given the residuals; without those of hardly any."""
        found = [self._model(*choice) for choice in self._choices()]
        log = np.array([evidence for evidence, _ in found])
        weight = np.exp(log - log.max())
        weight = np.where(weight > 1e-4, weight, 0)
        weight /= weight.sum()
        return [Model(weight=float(w), **facts) for (_, facts), w in zip(found, weight, strict=True) if w]

    def mean(self, x: Array) -> Array:
        """Expected misfit at x (k,)."""
        return np.stack([model.weight * model.weights_at(x) for model in self.models]).sum(axis=0) @ self.residual

    def left_out(self) -> float:
        """RMS error of the mean at each interior share in turn, told by the others [nat/token]."""
        errors = []
        for j in range(1, len(self.share) - 1):
            others = replace(self, **{x: np.delete(getattr(self, x), j) for x in ("share", "runs", "residual")})
            errors.append(self.residual[j] - others.mean(self.share[j : j + 1])[0])
        return float(np.sqrt(np.mean(np.square(errors))))

    def draws(self, x: Array, residuals: Array, rng: np.random.Generator) -> Array:
        """Misfits at x (k,) under draws of the law with residuals (K, m), each with an error of its own: (K, k)."""
        chosen = rng.choice(len(self.models), len(residuals), p=[one.weight for one in self.models])
        normal = rng.standard_normal((len(residuals), KNOTS + 2))
        knots = expit(np.linspace(-1.0, 1.0, KNOTS) * logit(np.ones(1)))
        result = np.empty((len(residuals), len(x)))
        for number in np.unique(chosen):
            some, model = chosen == number, self.models[number]
            freedom = self.freedom + len(model.Q) - 1
            scale = np.sqrt(self._squares(model.Q, model.kept) / rng.chisquare(freedom, int(some.sum())))
            errors = scale[:, None] * (normal[some] @ model.root_at(knots).T)
            drawn = np.stack([np.interp(x, knots, error) for error in errors])
            result[some] = residuals[some] @ model.weights_at(x).T + drawn
        return result

    def _choices(self) -> Iterator[tuple[float, float, slice, float]]:
        """Ratio, reach, kept shares, power; flat in the ratio, then in the reach."""
        m = len(self.share)
        for first, last in product((0, 1), (0, 1)):
            if m - first - last >= min(LEAST, m):
                for ratio in RATIOS:
                    for reach, power in product(REACHES if ratio else REACHES[:1], POWERS if first or last else (1.0,)):
                        yield ratio, reach, slice(first, m - last), power

    def _model(self, ratio: float, reach: float, kept: slice, power: float) -> tuple[float, dict]:
        """Log posterior probability up to a constant, and the model's facts."""
        share = self.share[kept]
        K = ratio**2 * matern(share, share, reach) + np.diag(1 / self.runs[kept])
        inverse = np.asarray(np.linalg.inv(K), np.float64)
        ones = inverse.sum(axis=0)
        Q = inverse - np.outer(ones, ones) / ones.sum()
        left = len(share) - 1
        known = self.freedom + left
        log = lgamma(known / 2) - left / 2 * np.log(np.pi)
        log -= 0.5 * (np.linalg.slogdet(K)[1] + np.log(ones.sum()))
        log -= 0.5 * known * np.log(max(self._squares(Q, kept), TINY))
        alone = len(self.share) - len(share)
        log += alone * np.log(ALONE / (2 * self.level)) + (2 - alone) * np.log(1 - ALONE)
        log -= np.log((len(REACHES) if ratio else 1) * (len(POWERS) if alone else 1))
        facts = {"ratio": ratio, "reach": reach, "power": power, "share": self.share, "runs": self.runs, "kept": kept}
        return float(log), facts | {"inverse": inverse, "Q": Q}

    def _squares(self, Q: Array, kept: slice) -> float:
        """Sum of squares that tells s: of the repeats and of the residuals [(nat/token)^2]."""
        residual = self.residual[kept]
        return self.freedom * self.noise**2 + max(float(residual @ Q @ residual), 0.0)


def matern(x: Array, y: Array, reach: float) -> Array:
    """Matérn covariance (k, m) of smoothness 3/2 between shares x (k,) and y (m,), 1 at distance 0."""
    scaled = np.sqrt(3) * np.abs(logit(x)[:, None] - logit(y)) / reach
    return (1 + scaled) * np.exp(-scaled)


def logit(share: Array) -> Array:
    """log((share + EDGE) / (1 - share + EDGE))."""
    return np.log((share + EDGE) / (1 - share + EDGE))


def expit(x: Array) -> Array:
    """The share at a logit."""
    odds = np.exp(x)
    return (odds * (1 + EDGE) - EDGE) / (1 + odds)
