"""Exact integer counts: how many rows each source gives to each block, close to its target at every moment.

Two sources are rounded to the nearest row, which keeps every prefix within half a row. For more, no rule keeps all
windows within one row (Fraenkel's conjecture: only one set of unequal rates is balanced), and Tijdeman's (1980)
prefix bound 1 - 1/(2n - 2) allows windows almost twice as far off. What is chosen here is, at every block, the
counts that make the sum over sources of d^8 + (d - d')^8 least, where d is rows given less rows due, and d' is d one
window of 1,000 rows ago: nearly the least of the worst deviation. The sum is separable and convex, so exchanging
single rows finds its minimum.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

WINDOW_ROWS = 1000  # the length of window that is kept within one row of its target
NEAR = 0.5  # a block whose deviations are all below this is left as it is


def apportion(weights: NDArray[np.float64], block_rows: int) -> NDArray[np.int64]:
    """Rows of every source in every block; what a block rounds off, the next one gives back.

    weights: (num_blocks, num_sources), rows sum to 1. Returns (num_blocks, num_sources), rows sum to block_rows.
    """
    return Apportioner(weights.shape[1], block_rows).take(weights)


class Apportioner:
    """Apportions blocks a segment at a time: the counts are those of all blocks at once."""

    def __init__(self, num_sources: int, block_rows: int) -> None:
        self.block_rows = block_rows
        self.target = np.zeros(num_sources)  # cumulative weights
        self.given = [0] * num_sources  # rows
        blocks = max(1, WINDOW_ROWS // block_rows)
        self.past = deque([[0.0] * num_sources] * blocks, maxlen=blocks)  # rows owed after each block of a window

    def take(self, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows of every source in the next blocks: (num_blocks, num_sources) -> the same shape."""
        if not len(weights):
            return np.zeros(weights.shape, dtype=np.int64)
        # Summing rounded float targets over a million blocks would drift: keep the targets cumulative.
        cumulative = np.cumsum(np.vstack([self.target, weights]), axis=0)[1:]
        self.target = cumulative[-1]
        active = np.count_nonzero(cumulative, axis=1).tolist()
        counts, given, past = [], self.given, self.past
        for target, sources in zip((cumulative * self.block_rows).tolist(), active, strict=True):
            left = [t - g for t, g in zip(target, given, strict=True)]
            count = [int(o + 1e-9) if o > 0 else 0 for o in left]
            left = [o - c for o, c in zip(left, count, strict=True)]
            missing = self.block_rows - sum(count)
            if missing:
                give_the_rest(count, left, missing)
            if sources > 2:
                exchange(count, left, past[0])
            past.append(left)
            given = [g + c for g, c in zip(given, count, strict=True)]
            counts.append(count)
        self.given = given
        return np.array(counts, dtype=np.int64)


def give_the_rest(count: list[int], left: list[float], missing: int) -> None:
    """Give `missing` more rows to the most owed, or take them from the least owed; ties go to the first source."""
    if missing > 0:
        for i in sorted(range(len(left)), key=left.__getitem__, reverse=True)[:missing]:
            count[i] += 1
            left[i] -= 1
    else:
        for i in sorted((i for i, c in enumerate(count) if c), key=left.__getitem__)[:-missing]:
            count[i] -= 1
            left[i] += 1


def exchange(count: list[int], left: list[float], before: list[float]) -> None:
    """Move single rows between sources while that brings the deviations down. left, before: rows owed."""
    for a, b in zip(left, before, strict=True):
        if not (-NEAR < a < NEAR and -NEAR < a - b < NEAR):
            break
    else:
        return
    sources = range(len(left))
    while True:
        more, less = [], []
        for a, b, n in zip(left, before, count, strict=True):
            now = cost(a, b)
            more.append(cost(a - 1, b) - now)
            less.append(cost(a + 1, b) - now if n else np.inf)
        to = min(sources, key=more.__getitem__)
        of = min(sources, key=less.__getitem__)
        if more[to] + less[of] > -1e-9:
            return
        count[to] += 1
        left[to] -= 1
        count[of] -= 1
        left[of] += 1


def cost(owed: float, before: float) -> float:
    """d^8 + (d - d')^8"""
    square, change = owed * owed, (owed - before) * (owed - before)
    square, change = square * square, change * change
    return square * square + change * change
