"""What needs no law: the nearest measured run, a quadratic, the mean. Strong, so every fit shows them.

All work on loss - base loss (on the loss itself where no base loss is known) and predict exactly the rows
held out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.laws.base import Array

SAME_TOKENS = 0.01  # [1] relative difference of tokens below which two rows are one checkpoint
TIE = 1e-3  # [1] shares whose distances differ by less are equally near
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The table as a grid: run, level labels; size, share, tokens; delta = loss - base loss; each (n,)."""

    run: NDArray[np.str_]
    level: NDArray[np.int_]
    size: Array
    share: Array
    tokens: Array
    delta: Array


def nearest_run(grid: Grid, held: Mask, protocol: str) -> Array:
    """Delta of the nearest measured share at the same size and tokens; for `tokens` a run's last kept one."""
    return np.array([_nearest(grid, ~held, i, protocol) for i in np.flatnonzero(held).tolist()])


def quadratic(grid: Grid, held: Mask, protocol: str) -> Array:
    """A quadratic per size and checkpoint in the share; per run in log tokens; per level in log size."""
    return np.array([_quadratic(grid, ~held, i, protocol) for i in np.flatnonzero(held).tolist()])


def no_law(grid: Grid, held: Mask, protocol: str) -> Array:
    """The mean delta of the kept rows."""
    return np.full(int(held.sum()), grid.delta[~held].mean())


BASELINES: dict[str, Callable[[Grid, Mask, str], Array]] = {
    "nearest_run": nearest_run,
    "quadratic": quadratic,
    "no_law": no_law,
}


def _nearest(grid: Grid, kept: Mask, i: int, protocol: str) -> float:
    if protocol == "tokens" and (own := kept & (grid.run == grid.run[i])).any():
        rows = np.flatnonzero(own)
        return float(grid.delta[rows[np.argmax(grid.tokens[rows])]])
    distance = np.abs(np.log(grid.size / grid.size[i]))
    rows = kept & (distance <= distance[kept].min() + 1e-9)
    distance = np.abs(grid.share - grid.share[i])
    rows &= distance <= distance[rows].min() + TIE
    log_tokens, which = np.unique(np.log(grid.tokens[rows]), return_inverse=True)
    mean = np.bincount(which, grid.delta[rows]) / np.bincount(which)
    return float(np.interp(np.log(grid.tokens[i]), log_tokens, mean))


def _quadratic(grid: Grid, kept: Mask, i: int, protocol: str) -> float:
    same_size = np.isclose(grid.size, grid.size[i], rtol=1e-9)
    same_tokens = np.abs(grid.tokens / grid.tokens[i] - 1) < SAME_TOKENS
    if protocol == "tokens":
        rows, x = kept & (grid.run == grid.run[i]), np.log(grid.tokens)
    elif protocol == "size":
        rows, x = kept & same_tokens & (grid.level == grid.level[i]), np.log(grid.size)
    else:
        rows, x = kept & same_tokens & same_size, grid.share
    distinct = len(np.unique(np.round(x[rows], 6)))
    if distinct < 2:
        return _nearest(grid, kept, i, protocol)
    scale = np.ptp(x[rows])
    design = np.vander((x[rows] - x[i]) / scale, min(3, distinct))
    return float(np.linalg.lstsq(design, grid.delta[rows])[0][-1])
