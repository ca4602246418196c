"""What needs no law: the nearest measured run, a quadratic, the mean. Strong, so every fit shows them.

All work on loss - base loss (on the loss itself where no base loss is known) and predict exactly the rows
held out. A mixture of several corpora is a point with one coordinate a corpus; one share is the special case
of one coordinate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.laws.base import Array

SAME_TOKENS = 0.01  # [1] relative difference of tokens below which two rows are one checkpoint
TIE = 1e-3  # [1] mixtures whose distances differ by less are equally near
ALONG_TOKENS = ("tokens", "token_segments")  # protocols that hold out parts of runs whose other parts are kept
ALONG_SIZE = ("size", "size_folds")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The table as a grid: run, level labels; size, tokens; delta = loss - base loss; each (n,).

    share: (n,) of one corpus or (n, m) of several, compared by their Euclidean distance. level: number of the
    mixture, the same for runs whose shares agree.
    """

    run: NDArray[np.str_]
    level: NDArray[np.int_]
    size: Array
    share: Array
    tokens: Array
    delta: Array

    def from_mixture(self, i: int) -> Array:
        """Shares less those of row i, (n, m)."""
        shares = self.share.reshape(len(self.run), -1)
        return shares - shares[i]


def nearest_run(grid: Grid, held: Mask, protocol: str) -> Array:
    """Delta of the nearest measured mixture at the same size and tokens.

    Where part of the same run is kept, that run itself between its kept checkpoints (before and after them:
    the first and last kept one).
    """
    return np.array([_nearest(grid, ~held, i, protocol) for i in np.flatnonzero(held).tolist()])


def quadratic(grid: Grid, held: Mask, protocol: str) -> Array:
    """A quadratic per size and checkpoint in the shares; per run in log tokens; per level in log size.

    In several shares the full one where there are as many mixtures as it has coefficients, else the plane.
    """
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
    if protocol in ALONG_TOKENS and (own := kept & (grid.run == grid.run[i])).any():
        return _at_tokens(grid, own, i)
    distance = np.abs(np.log(grid.size / grid.size[i]))
    rows = kept & (distance <= distance[kept].min() + 1e-9)
    distance = np.linalg.norm(grid.from_mixture(i), axis=1)
    rows &= distance <= distance[rows].min() + TIE
    return _at_tokens(grid, rows, i)


def _at_tokens(grid: Grid, rows: Mask, i: int) -> float:
    """Mean delta of `rows`, interpolated in log tokens to those of row i; constant beyond their ends."""
    log_tokens, which = np.unique(np.log(grid.tokens[rows]), return_inverse=True)
    mean = np.bincount(which, grid.delta[rows]) / np.bincount(which)
    return float(np.interp(np.log(grid.tokens[i]), log_tokens, mean))


def _quadratic(grid: Grid, kept: Mask, i: int, protocol: str) -> float:
    same_size = np.isclose(grid.size, grid.size[i], rtol=1e-9)
    same_tokens = np.abs(grid.tokens / grid.tokens[i] - 1) < SAME_TOKENS
    if protocol in ALONG_TOKENS:
        rows, x = kept & (grid.run == grid.run[i]), np.log(grid.tokens / grid.tokens[i])[:, None]
    elif protocol in ALONG_SIZE:
        rows, x = kept & same_tokens & (grid.level == grid.level[i]), np.log(grid.size / grid.size[i])[:, None]
    else:
        rows, x = kept & same_tokens & same_size, grid.from_mixture(i)
    value = _polynomial(x[rows], grid.delta[rows]) if rows.any() else None
    return _nearest(grid, kept, i, protocol) if value is None else value


def _polynomial(x: Array, y: Array) -> float | None:
    """Value at 0 of the quadratic in x (n, m) through y (n,), else of the plane; None where there are too few points.

    Directions in which the points do not vary are left out, such as the sum of all shares.
    """
    distinct = len(np.unique(np.round(x, 6), axis=0))
    centred = x - x.mean(axis=0)
    _, s, directions = np.linalg.svd(centred, full_matrices=False)
    rank = int((s > 1e-6 * max(s[0], 1e-300)).sum()) if s[0] > 1e-9 else 0
    if not rank:
        return None
    u = x @ directions[:rank].T / np.ptp(x @ directions[0])
    pairs = [u[:, i] * u[:, j] for i in range(rank) for j in range(i, rank)]
    columns = [np.ones(len(u)), *u.T]
    if distinct >= len(columns) + len(pairs):
        columns += pairs
    elif distinct < len(columns):
        return None
    return float(np.linalg.lstsq(np.stack(columns, axis=1), y)[0][0])
