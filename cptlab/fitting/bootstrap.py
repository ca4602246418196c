"""Bayesian bootstrap over whole runs: Dirichlet weights, the same for every domain of a table.

A plain bootstrap is the special case of multinomial weights; with few runs it drops whole design points (of
15 runs it keeps 9.7 on average), so it is not offered.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from cptlab.fitting.objective import Problem
from cptlab.fitting.polish import Polished, polish
from cptlab.laws.base import Array


def run_weights(run: NDArray[np.str_], num_draws: int, seed: int) -> Array:
    """Row weights (num_draws, n): each run's Dirichlet weight, with mean 1 over runs.

    A run's weight depends on its name and the seed (and the other runs only through the scale), so draw k of
    one domain and draw k of another weigh runs alike, in whatever order their rows come.
    """
    names, which = np.unique(run, return_inverse=True)
    draws = np.empty((num_draws, len(names)))
    for j, name in enumerate(names.tolist()):
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        draws[:, j] = np.random.default_rng([seed, key]).standard_exponential(num_draws)
    return (draws * (len(names) / draws.sum(axis=1, keepdims=True)))[:, which]


def bootstrap(problem: Problem, theta: Array, run: NDArray[np.str_], num_draws: int, seed: int) -> Polished:
    """Refits of all draws in one batch, each from the optimum theta (p,): parameters (num_draws, p)."""
    if not num_draws:
        return Polished(np.empty((0, len(theta))), np.empty(0), np.empty(0, bool), 0)
    return polish(problem, np.tile(theta, (num_draws, 1)), run_weights(run, num_draws, seed))
