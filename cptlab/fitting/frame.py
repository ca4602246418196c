"""Coordinates in which laws are well conditioned: terms by their spread, the constant by the mean level.

In A/N^alpha the coefficient and the exponent are tied: a small change of alpha moves A by powers of N. And
as gamma -> 0 in E + C r^-gamma, C and E run to infinity against each other while the curve hardly moves.
Both ties vanish if a coefficient is carried as the spread of its term over some reference rows, and the
constant as the mean of all terms there. Dividing N by its geometric mean is the special case of one
reference row and no centring.
"""

from dataclasses import dataclass

import numpy as np

from cptlab.fitting.objective import Problem
from cptlab.laws.base import Array

NEAR = 1e-3  # [1] distance of the constant from a bound, over the median loss, below which it stands alone
REFERENCES = 8  # reference rows: a Latin hypercube over the quantiles of the inputs, whatever the order of rows


@dataclass(frozen=True)
class Place:
    """The frame at theta (B, p). coordinates (B, p), back (B, p, p) = d theta / d coordinates, held (B,)."""

    frame: "Frame"
    theta: Array
    coordinates: Array
    back: Array
    held: np.ndarray

    def pull_back(self, gradient: Array, *curvatures: Array) -> list[Array]:
        """Gradient (B, p) and curvatures (B, p, p) by the coordinates."""
        back, front = self.back, self.back.swapaxes(1, 2)
        return [
            np.matmul(front, gradient[..., None])[..., 0],
            *(np.matmul(front, np.matmul(curvature, back)) for curvature in curvatures),
        ]

    def room(self) -> tuple[Array, Array]:
        """How far each coordinate may move down and up, (B, p); without end for the constant, see `step`."""
        problem, k = self.frame.problem, self.frame.problem.num_linear
        low, high = (np.broadcast_to(b, self.theta.shape).copy() for b in (problem.low, problem.high))
        if self.frame.level is not None:
            low[~self.held, self.frame.level], high[~self.held, self.frame.level] = -np.inf, np.inf
        size = 1 / np.einsum("bpp->bp", self.back)[:, :k]
        low[:, :k], high[:, :k] = low[:, :k] * size, high[:, :k] * size
        return low - self.coordinates, high - self.coordinates

    def step(self, change: Array) -> tuple[Array, np.ndarray]:
        """theta (B, p) after a change, and where (B,) the change was cut since the constant met its bound."""
        problem, level = self.frame.problem, self.frame.level
        change = np.where(np.isfinite(change), change, 0)
        new, out = self.frame.theta(self.coordinates + change, self.held), np.zeros(len(change), bool)
        if level is not None:
            bound = np.clip(new[:, level], problem.low[level], problem.high[level])
            out = ~self.held & (new[:, level] != bound)
            if out.any():
                way = new[:, level] - self.theta[:, level]
                part = np.where(out, (bound - self.theta[:, level]) / np.where(way == 0, 1, way), 1.0)
                new = self.frame.theta(self.coordinates + change * part[:, None], self.held)
        return np.clip(new, problem.low, problem.high), out


@dataclass(frozen=True)
class Frame:
    """reference: input -> (R,). carried (k,): coefficients carried by their term. level: constant's index."""

    problem: Problem
    reference: dict[str, Array]
    carried: np.ndarray
    level: int | None

    @classmethod
    def of(cls, problem: Problem, centred: bool = True) -> "Frame":
        """Carried are the coefficients whose bounds are 0 or infinite, which no positive factor moves."""
        k = problem.num_linear
        low, high = problem.low[:k], problem.high[:k]
        reference = _references(problem) if centred else _middle(problem)
        level = None
        if k and centred:
            shape = 0.5 * (problem.low[k:] + problem.high[k:])
            terms = problem.law.basis(shape, reference)
            constant = np.flatnonzero((np.ptp(terms, axis=0) == 0) & (terms[0] == 1) & (low < high))
            level = int(constant[0]) if len(constant) else None
        carried = np.isin(low, (0.0, -np.inf)) & np.isin(high, (0.0, np.inf)) & (low < high)
        if level is not None:
            carried[level] = False
        return cls(problem, reference, carried, level)

    def holds_level(self, theta: Array) -> np.ndarray:
        """Members (B,) whose constant is so near a bound that it is its own coordinate; theta (B, p)."""
        if self.level is None:
            return np.ones(len(theta), bool)
        low, high, E = self.problem.low[self.level], self.problem.high[self.level], theta[:, self.level]
        return np.minimum(E - low, high - E) < NEAR * np.median(self.problem.loss)

    def at(self, theta: Array, held: np.ndarray) -> Place:
        """Coordinates of theta (B, p); held (B,): the constant is its own coordinate and carries no means."""
        k, (members, p) = self.problem.num_linear, theta.shape
        back = np.broadcast_to(np.eye(p), (members, p, p)).copy()
        if not k:
            return Place(self, theta, theta, back, held)
        law, c = self.problem.law, theta[:, :k]
        terms = law.basis(theta[:, k:], self.reference)  # (B, R, k)
        mean, size, carried = self._mean_and_size(terms, held)
        single = np.repeat(theta[:, None], k, axis=1)
        single[..., :k] = np.eye(k)
        slopes = law.slopes(single, np.repeat(terms[:, None], k, axis=1), self.reference)  # (B, k, R, q)
        slopes = np.where(np.isfinite(slopes), slopes, 0)
        from_mean = (terms - mean[:, None]).swapaxes(1, 2)[..., None]  # (B, k, R, 1)
        growth = (from_mean * slopes).mean(axis=2) / (size**2)[..., None]  # d log size / d shape, (B, k, q)
        growth = np.where(carried[..., None], growth, 0)
        coordinates = np.concatenate([c * size, theta[:, k:]], axis=1)
        diagonal = np.arange(k)
        back[:, diagonal, diagonal] = 1 / size
        back[:, :k, k:] = -c[..., None] * growth
        if self.level is not None:
            moving = np.where((carried & ~held[:, None])[..., None], slopes.mean(axis=2), 0)
            coordinates[:, self.level] += (c * mean).sum(axis=1)
            tie = -mean / size
            tie[:, self.level] = 1
            back[:, self.level, :k] = tie
            back[:, self.level, k:] = -(c[..., None] * (moving - mean[..., None] * growth)).sum(axis=1)
        return Place(self, theta, coordinates, back, held)

    def theta(self, coordinates: Array, held: np.ndarray) -> Array:
        """The inverse of `at`, with shapes clipped to their bounds."""
        k, problem = self.problem.num_linear, self.problem
        theta = coordinates.copy()
        theta[:, k:] = np.clip(theta[:, k:], problem.low[k:], problem.high[k:])
        if not k:
            return theta
        mean, size, _ = self._mean_and_size(problem.law.basis(theta[:, k:], self.reference), held)
        theta[:, :k] = np.clip(theta[:, :k] / size, *self._bounds())
        if self.level is not None:
            theta[:, self.level] -= (theta[:, :k] * mean).sum(axis=1)
        return theta

    def _bounds(self) -> tuple[Array, Array]:
        """Bounds of the coefficients; none for the constant, which meets its own after the means are off."""
        k = self.problem.num_linear
        low, high = self.problem.low[:k].copy(), self.problem.high[:k].copy()
        if self.level is not None:
            low[self.level], high[self.level] = -np.inf, np.inf
        return low, high

    def _mean_and_size(self, terms: Array, held: np.ndarray) -> tuple[Array, Array, np.ndarray]:
        """Mean and size of each term over the reference rows (B, k), and which are carried.

        Where the constant is held the mean is 0, so that the size is the term's own; size 1 where not
        carried.
        """
        mean = np.where(held[:, None], 0.0, terms.mean(axis=1))
        size = np.sqrt(((terms - mean[:, None]) ** 2).mean(axis=1))
        carried = self.carried & np.isfinite(size) & (size > 1e-13 * np.abs(mean)) & (size > 1e-200)
        return np.where(carried, mean, 0), np.where(carried, size, 1.0), carried


def _references(problem: Problem) -> dict[str, Array]:
    if problem.law.tied:
        return _measured(problem, REFERENCES)
    ranks = (np.arange(REFERENCES) + 0.5) / REFERENCES
    order = [np.random.default_rng(j).permutation(REFERENCES) for j in range(len(problem.law.inputs))]
    return {
        name: np.quantile(problem.columns[name], ranks[o]) for name, o in zip(problem.law.inputs, order, strict=True)
    }


def _middle(problem: Problem) -> dict[str, Array]:
    """One row: geometric means of the inputs, arithmetic where one has zeros; the middle one of a tied law."""
    if problem.law.tied:
        return _measured(problem, 1)
    columns = {name: problem.columns[name] for name in problem.law.inputs}
    return {
        name: np.array([np.exp(np.log(column).mean()) if (column > 0).all() else column.mean()])
        for name, column in columns.items()
    }


def _measured(problem: Problem, count: int) -> dict[str, Array]:
    """Whole rows of the table at `count` even quantiles of the loss."""
    order = np.argsort(problem.loss, kind="stable")
    rows = order[((np.arange(count) + 0.5) / count * len(order)).astype(int)]
    return {name: problem.columns[name][rows] for name in problem.law.inputs}
