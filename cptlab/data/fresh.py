"""Where a fresh row lies: its global number -> corpus and running number in it, for many numbers at once."""

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


class FreshRows:
    """Table of (step, corpus) groups of fresh rows, in the order of their numbers; made only for what looks rows up.

    starts: global number of the first row of each group, and the end. shift: what turns a global number into the
    running number of its corpus.
    """

    def __init__(self, num_corpora: int) -> None:
        self.num_corpora = num_corpora
        self.steps = self.rows = 0
        self.starts, self.shift = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self.drawn = np.zeros(num_corpora, dtype=np.int64)  # running number of each corpus before the next step

    def add(self, counts: Index, replay_corpus: int, steps: int) -> None:
        """Append steps, (k, num_corpora + 1) fresh rows and rows of Replay of each; `steps` may follow in all."""
        num, fresh = self.num_corpora, counts[:, :-1]
        first = fresh.copy()
        if replay_corpus >= 0:
            first[:, replay_corpus] += counts[:, -1]
        ends = np.cumsum(first, axis=0)
        before = self.drawn + ends - first  # running number of each corpus before each step
        if replay_corpus >= 0:
            before[:, replay_corpus] += counts[:, -1]  # Replay reads first
        self.drawn = self.drawn + (ends[-1] if len(ends) else 0)
        if len(self.starts) < steps * num + 1:
            self.starts = np.concatenate([self.starts, np.zeros(steps * num + 1 - len(self.starts), dtype=np.int64)])
            self.shift = np.concatenate([self.shift, np.zeros(steps * num - len(self.shift), dtype=np.int64)])
        here = slice(self.steps * num, (self.steps + len(counts)) * num)
        group_ends = self.rows + np.cumsum(fresh.ravel())
        self.starts[here.start + 1 : here.stop + 1] = group_ends
        self.shift[here] = before.ravel() - group_ends + fresh.ravel()
        self.steps += len(counts)
        self.rows = int(self.starts[here.stop])

    def find(self, index: Index) -> tuple[Index, Index]:
        """Global numbers below `rows` (n,) -> corpus (n,) and running number (n,); fastest in rising order."""
        group = np.searchsorted(self.starts[: self.steps * self.num_corpora + 1], index, side="right") - 1
        return group % self.num_corpora, index + self.shift[group]
