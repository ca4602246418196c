"""The solver: many problems (a table and its folds), many starts, at once; the exact objective decides."""

from dataclasses import dataclass

import numpy as np

from cptlab.fitting.objective import Problem
from cptlab.fitting.polish import polish
from cptlab.fitting.starts import find_starts
from cptlab.laws.base import Array

POINTS, KEPT, CHOSEN = 2048, 64, 8  # most quasi-random shapes, reweighted ones, polished ones
SAME = 1e-6  # relative difference of objectives below which two starts count as one basin

PERFECT = 1e-18  # [1] objective per unit of weight below which differences are rounding


@dataclass(frozen=True)
class Solution:
    """Best parameters of each of m problems.

    theta (m, p). objective (m,). converged (m,). reached (m,): how many polished starts came within 1e-6
    relative of the best. tried: how many were polished. next_basin (m,): relative distance of the next best
    objective, inf if none.
    """

    theta: Array
    objective: Array
    converged: np.ndarray
    reached: np.ndarray
    tried: int
    next_basin: Array


def solve(
    problem: Problem, weights: Array, *, seed: int = 0,
    points: int | None = None, kept: int = KEPT, chosen: int = CHOSEN,
) -> Solution:  # fmt: skip
    """Minimise the exact objective for every row of weights (m, n).

    points: quasi-random shapes; None: as many as the free shape parameters need.
    """
    free = int((problem.low < problem.high)[problem.num_linear :].sum())
    points = min(POINTS, 2 ** (7 + free)) if points is None else points
    with np.errstate(all="ignore"):
        starts = find_starts(problem, weights, seed, points, kept, chosen)
    m, tried, p = starts.shape
    ends = polish(problem, starts.reshape(-1, p), np.repeat(weights, tried, axis=0))
    objective = ends.objective.reshape(m, tried)
    best = np.argmin(objective, axis=1)
    rows = np.arange(m)
    lowest = objective[rows, best]
    gap = (objective - lowest[:, None]) / np.maximum(lowest, PERFECT * weights.sum(axis=1))[:, None]
    return Solution(
        theta=ends.theta.reshape(m, tried, p)[rows, best],
        objective=lowest,
        converged=ends.converged.reshape(m, tried)[rows, best],
        reached=(gap <= SAME).sum(axis=1),
        tried=tried,
        next_basin=np.where(gap > SAME, gap, np.inf).min(axis=1),
    )
