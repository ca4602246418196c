"""Starts by variable projection: quasi-random shapes, coefficients by bounded least squares, reweighted.

For a given shape the coefficients that minimise relative residuals (yhat - y) / y follow in closed form, so
the search has only as many dimensions as there are shape parameters. A law without linear terms is ranked on
the objective itself.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from cptlab.fitting.linear import bounded_least_squares
from cptlab.fitting.objective import BLOCK, Problem
from cptlab.laws.base import Array

REWEIGHTINGS = 8


def find_starts(problem: Problem, weights: Array, seed: int, points: int, kept: int, chosen: int) -> Array:
    """The `chosen` best distinct starts of every problem.

    weights (m, n): one row a problem (the whole table, a fold). points: quasi-random shapes; kept: how many
    of them are reweighted. Returns theta (m, chosen, p).
    """
    k, m = problem.num_linear, len(weights)
    shapes, unit = sample_shapes(problem, seed, points)
    rank = _project(problem, shapes, weights) if k else np.stack([problem.objective(shapes, w) for w in weights])
    order = np.argsort(rank, axis=1, kind="stable")[:, :kept]
    owner = np.repeat(np.arange(m), order.shape[1])
    theta = _reweight(problem, shapes[order.ravel()], weights[owner]) if k else shapes[order.ravel()]
    objective = problem.objective(theta, weights[owner]).reshape(order.shape)
    picks = _distinct(objective, unit[order], min(chosen, order.shape[1]))
    return theta.reshape(*order.shape, -1)[np.arange(m)[:, None], picks]


def sample_shapes(problem: Problem, seed: int, points: int) -> tuple[Array, Array]:
    """Quasi-random shapes (points, q), half of them log-uniform where bounds allow, and their unit cube."""
    k = problem.num_linear
    if not (specs := list(problem.law.shape.values())):
        return np.empty((1, 0)), np.empty((1, 0))  # linear in all parameters: one start
    low = np.array([(s.start or (s.low, s.high))[0] for s in specs])
    high = np.array([(s.start or (s.low, s.high))[1] for s in specs])
    unit = qmc.Sobol(len(specs), rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(points))))
    shapes = low + (high - low) * unit
    log = (low > 0) & (high / np.where(low > 0, low, 1) > 20)
    half = np.arange(len(unit)) % 2 == 0
    geometric = np.where(log, np.maximum(low, 1e-300), 1) * np.where(log, high / np.where(log, low, 1), 1) ** unit
    shapes = np.where(half[:, None] & log, geometric, shapes)
    shapes = np.clip(shapes, problem.low[k:], problem.high[k:])
    position = np.log(shapes / np.where(log, low, 1), where=log, out=(shapes - low).copy())
    return shapes, position / np.where(log, np.log(np.where(log, high / np.where(log, low, 1), 2)), high - low)


def _project(problem: Problem, shapes: Array, weights: Array) -> Array:
    """Least squares of relative residuals left over at each shape: (m, points)."""
    k, n = problem.num_linear, len(problem.loss)
    upper = np.triu_indices(k)
    left_over = np.full((len(weights), len(shapes)), np.inf)
    size = max(1, 4 * BLOCK // (n * (k * (k + 3) // 2)))
    for start in range(0, len(shapes), size):
        block = slice(start, start + size)
        terms = np.swapaxes(problem.law.basis(shapes[block], problem.columns), -1, -2) / problem.loss  # (s, k, n)
        products = np.concatenate([terms[:, upper[0]] * terms[:, upper[1]], terms], axis=1)
        sums = np.matmul(products, weights.T).transpose(2, 0, 1)  # (m, s, k(k+1)/2 + k)
        gram = np.empty((*sums.shape[:2], k, k))
        gram[..., upper[0], upper[1]] = gram[..., upper[1], upper[0]] = sums[..., : len(upper[0])]
        _, value = _inner(problem, gram.reshape(-1, k, k), sums[..., len(upper[0]) :].reshape(-1, k))
        left_over[:, block] = value.reshape(sums.shape[:2])
    return left_over + weights.sum(axis=1, keepdims=True)


def _reweight(problem: Problem, shapes: Array, weights: Array) -> Array:
    """Coefficients at fixed shapes, with weights min(1, delta / |log yhat - log y|): theta (B, p)."""
    k = problem.num_linear
    terms = np.swapaxes(problem.law.basis(shapes, problem.columns), -1, -2) / problem.loss  # (B, k, n)
    irls, coefficients = np.ones_like(weights), np.empty((len(shapes), k))
    for _ in range(REWEIGHTINGS):
        weighted = terms * (weights * irls)[:, None, :]
        coefficients, _ = _inner(problem, np.matmul(weighted, terms.swapaxes(1, 2)), weighted.sum(axis=-1))
        ratio = np.matmul(coefficients[:, None, :], terms)[:, 0]
        irls = problem.delta / np.maximum(np.abs(np.log(np.maximum(ratio, 1e-3))), problem.delta)
    return np.concatenate([coefficients, shapes], axis=1)


def _inner(problem: Problem, gram: Array, moment: Array) -> tuple[Array, Array]:
    k = problem.num_linear
    low, high = (np.broadcast_to(bound[:k], moment.shape) for bound in (problem.low, problem.high))
    return bounded_least_squares(gram, moment, low, high)


def _distinct(objective: Array, unit: Array, chosen: int, apart: float = 0.1) -> NDArray[np.intp]:
    """Greedy choice (m, chosen): the best, then the best that lies `apart` from every one chosen before."""
    rows = np.arange(len(objective))
    cost, picks = objective.copy(), np.empty((len(objective), chosen), np.intp)
    for i in range(chosen):
        picks[:, i] = np.argmin(cost, axis=1)
        near = np.abs(unit - unit[rows, picks[:, i]][:, None]).max(axis=-1, initial=0) < apart
        cost = np.where(near, cost + 1e6 * (1 + np.abs(cost)), cost)
        cost[rows, picks[:, i]] = np.inf
    return picks
