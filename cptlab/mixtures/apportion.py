"""Exact integer counts: how many rows each source gives to each block; what is owed first is given first."""

import numpy as np
from numpy.typing import NDArray


def apportion(weights: NDArray[np.float64], block_rows: int) -> NDArray[np.int64]:
    """Rows of every source in every block; what a block rounds off, the next one gives back.

    weights: (num_blocks, num_sources), rows sum to 1. Returns (num_blocks, num_sources), rows sum to block_rows.
    Giving to the most owed keeps every cumulative count within half a row of its target for two sources, and within
    1/2 + 1/3 + ... + 1/n rows for n (1.45 rows for six).
    """
    return Apportioner(weights.shape[1], block_rows).take(weights)


class Apportioner:
    """Apportions blocks a segment at a time: the counts are those of all blocks at once."""

    def __init__(self, num_sources: int, block_rows: int) -> None:
        self.block_rows = block_rows
        self.target = np.zeros(num_sources)  # cumulative weights
        self.given = np.zeros(num_sources, dtype=np.int64)  # rows

    def take(self, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows of every source in the next blocks: (num_blocks, num_sources) -> the same shape."""
        # Summing rounded float targets over a million blocks would drift: keep the targets cumulative.
        cumulative = np.cumsum(np.vstack([self.target, weights]), axis=0)[1:]
        targets = cumulative * self.block_rows
        counts = np.empty(targets.shape, dtype=np.int64)
        for block, target in enumerate(targets):
            owed = target - self.given
            count = np.maximum(np.floor(owed + 1e-9), 0).astype(np.int64)
            missing = self.block_rows - int(count.sum())
            remainder = owed - count
            if missing > 0:  # give to the most owed; ties go to the first source
                order = np.argsort(-remainder, kind="stable")
                count[order[:missing]] += 1
            elif missing < 0:  # sources already ahead of target: take from the least owed
                order = np.argsort(np.where(count > 0, remainder, np.inf), kind="stable")
                count[order[:-missing]] -= 1
            counts[block] = count
            self.given += count
        if len(weights):
            self.target = cumulative[-1]
        return counts
