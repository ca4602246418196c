"""Apportioning rows that hold different numbers of tokens, so that the shares are those of tokens."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


class TokenApportioner:
    """Apportions blocks a segment at a time by the tokens that the next rows really hold.

    fills: mean tokens of a row of every source, as shares of a full row; the last source is Replay, which reads on
    in source `replay`, before the source's own rows of the block (-1: it reads in none; its rows count as mean ones).
    """

    def __init__(self, fills: list[float], block_rows: int, replay: int) -> None:
        self.fills, self.block_rows, self.replay = fills, block_rows, replay
        self.owed = [0.0] * len(fills)  # [full row] due less given

    def take(self, weights: NDArray[np.float64], ahead: list[NDArray[np.float64]]) -> NDArray[np.int64]:
        """Rows of every source in the next blocks.

        weights: (num_blocks, num_sources). ahead: for every source but Replay the tokens of its next 0, 1, 2, ...
        rows [full row], for as many rows as all blocks have.
        """
        sums, used = [a.tolist() for a in ahead], [0] * len(ahead)
        counts = [self._block(weight, sums, used) for weight in weights.tolist()]
        return np.array(counts, dtype=np.int64).reshape(weights.shape)

    def _block(self, weight: list[float], sums: list[list[float]], used: list[int]) -> list[int]:
        tokens = self.block_rows / sum(w / f for w, f in zip(weight, self.fills, strict=True))
        due = [max(o + w * tokens, 0.0) for o, w in zip(self.owed, weight, strict=True)]
        again, given_again = self._replayed(due[-1], sums, used)
        missing = self.block_rows - again
        count = [
            min(max(bisect_right(s, s[u] + d + 1e-9) - 1 - u, 0), missing)
            for s, u, d in zip(sums, used, due[:-1], strict=True)
        ]
        missing -= sum(count)
        while missing:  # one row at a time, judged at its middle: more to the most owed, less to the least owed
            left = [
                o + w * tokens + s[u] - (s[u + n] + s[u + n + (1 if missing > 0 else -1)]) / 2
                for o, w, s, u, n in zip(self.owed, weight, sums, used, count, strict=False)  # Replay is last in two
            ]
            some = [i for i, n in enumerate(count) if n or missing > 0]
            i = max(some, key=left.__getitem__) if missing > 0 else min(some, key=left.__getitem__)
            step = 1 if missing > 0 else -1
            count[i] += step
            missing -= step
        given = [s[u + n] - s[u] for s, u, n in zip(sums, used, count, strict=True)] + [given_again]
        used[:] = [u + n for u, n in zip(used, count, strict=True)]
        total = sum(given)
        self.owed = [o + w * total - g for o, w, g in zip(self.owed, weight, given, strict=True)]
        return [*count, again]

    def _replayed(self, due: float, sums: list[list[float]], used: list[int]) -> tuple[int, float]:
        """Rows of Replay and their tokens [full row], the nearest to what is due."""
        if self.replay < 0:
            rows = min(round(due / self.fills[-1]), self.block_rows)
            return rows, rows * self.fills[-1]
        ahead, first = sums[self.replay], used[self.replay]
        rows = min(max(bisect_right(ahead, ahead[first] + due) - 1 - first, 0), self.block_rows)
        if rows < self.block_rows and first + rows + 1 < len(ahead):
            short, past = ahead[first] + due - ahead[first + rows], ahead[first + rows + 1] - ahead[first] - due
            rows += past < short
        used[self.replay] += rows
        return rows, ahead[first + rows] - ahead[first]
