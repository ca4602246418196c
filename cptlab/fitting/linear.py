"""Bounded least squares in few unknowns, exactly and in batches: every face of the box is tried.

Non-negative least squares is the special case of bounds [0, inf).
"""

from itertools import product

import numpy as np

from cptlab.laws.base import Array

MOST_FACES = 300  # beyond that, coordinate descent
SWEEPS = 300


def bounded_least_squares(gram: Array, moment: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """argmin c' G c - 2 h' c over low <= c <= high, and its value.

    gram (B, k, k) positive semidefinite, moment (B, k), low, high (B, k). Returns (B, k), (B,).
    """
    scale = np.sqrt(np.maximum(np.einsum("bkk->bk", gram), 1e-300))
    gram = gram / scale[:, :, None] / scale[:, None, :] + 1e-13 * np.eye(gram.shape[-1])
    moment, low, high = moment / scale, low * scale, high * scale
    options = [_options(low[:, j], high[:, j]) for j in range(low.shape[1])]
    if np.prod([len(o) for o in options], dtype=float) > MOST_FACES:
        best = _coordinate_descent(gram, moment, low, high)
    else:
        best = _best_face(gram, moment, low, high, list(product(*options)))
    return best / scale, _value(gram, moment, best)


def _options(low: Array, high: Array) -> list[str]:
    """Where a coordinate can lie: inside, at its lower bound, at its upper bound."""
    if np.array_equal(low, high):
        return ["low"]
    return ["inside"] + ["low"] * bool(np.isfinite(low).any()) + ["high"] * bool(np.isfinite(high).any())


def _best_face(gram: Array, moment: Array, low: Array, high: Array, faces: list[tuple[str, ...]]) -> Array:
    best = np.clip(np.zeros_like(moment), low, high)
    value = _value(gram, moment, best)
    for face in faces:
        where = np.array(face)
        c = np.where(where == "low", low, np.where(where == "high", high, 0.0))
        inside = np.flatnonzero(where == "inside")
        if len(inside):
            rest = moment[:, inside] - np.matmul(gram[:, inside], c[:, :, None])[..., 0]
            c[:, inside] = np.linalg.solve(gram[:, inside[:, None], inside], rest[..., None])[..., 0]
        feasible = np.all(np.isfinite(c) & (c >= low) & (c <= high), axis=1)
        candidate = np.where(feasible, _value(gram, moment, np.where(feasible[:, None], c, 0.0)), np.inf)
        better = candidate < value
        best[better], value[better] = c[better], candidate[better]
    return best


def _coordinate_descent(gram: Array, moment: Array, low: Array, high: Array) -> Array:
    c = np.clip(np.zeros_like(moment), low, high)
    for _ in range(SWEEPS):
        for j in range(c.shape[1]):
            slope = moment[:, j] - np.einsum("bk,bk->b", gram[:, j], c)
            c[:, j] = np.clip(c[:, j] + slope / gram[:, j, j], low[:, j], high[:, j])
    return c


def _value(gram: Array, moment: Array, c: Array) -> Array:
    return np.einsum("bk,bk->b", c, np.matmul(gram, c[:, :, None])[..., 0] - 2 * moment)
