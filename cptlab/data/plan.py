"""Rows of every corpus in every step: worked out from weights when a step is first asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cptlab.data.draw import Draw
from cptlab.data.rows import ConcatRows, Rows
from cptlab.mixtures.apportion import Apportioner
from cptlab.mixtures.token_true import TokenApportioner

Index = NDArray[np.int64]
CHUNK_STEPS = 512  # steps apportioned at a time, so that a long run starts as fast as a short one


class Plan:
    """Counts of fresh and replayed rows; steps are apportioned in order, each once.

    replay_corpus: index of the corpus that Replay reads on in, -1 if it reads from none.
    """

    def __init__(
        self, rows: Sequence[Rows], draws: Sequence[Draw], rows_per_step: int, sequence_length: int, replay_corpus: int
    ) -> None:
        num = len(rows)
        self.rows, self.draws, self.sequence_length = rows, draws, sequence_length
        self.rows_per_step, self.replay_corpus = rows_per_step, replay_corpus
        self.padded = not all(isinstance(source, ConcatRows) for source in rows)
        self._apportioner = Apportioner(num + 1, rows_per_step)
        if self.padded:
            fills = [r.mean_fill for r in rows]  # type: ignore[attr-defined]
            fills.append(fills[replay_corpus] if replay_corpus >= 0 else sum(fills) / num)
            self._apportioner = TokenApportioner(fills, rows_per_step, replay_corpus)
        self._weights = np.zeros((0, num + 1))
        self._counts = np.zeros((0, num + 1), dtype=np.int64)  # fresh rows of each corpus, then those of Replay
        self._drawn = np.zeros((1, num), dtype=np.int64)  # running number of each corpus before each step
        self._fresh = np.zeros(1, dtype=np.int64)  # fresh rows before each step
        self._ready = 0

    @property
    def steps(self) -> int:
        """Steps that are planned."""
        return len(self._weights)

    def extend(self, weights: NDArray[np.float64]) -> None:
        """Append steps: (k, num_corpora + 1) shares of fresh rows and, last, of replayed ones."""
        more = len(weights)
        if not self.steps:  # the common case, a run planned at once: nothing to copy, and zeros cost no time
            self._weights = weights
            self._counts = np.zeros(weights.shape, dtype=np.int64)
            self._drawn = np.zeros((more + 1, weights.shape[1] - 1), dtype=np.int64)
            self._fresh = np.zeros(more + 1, dtype=np.int64)
            return
        self._weights = np.vstack([self._weights, weights])
        self._counts = np.vstack([self._counts, np.zeros((more, weights.shape[1]), dtype=np.int64)])
        self._drawn = np.vstack([self._drawn, np.zeros((more, weights.shape[1] - 1), dtype=np.int64)])
        self._fresh = np.append(self._fresh, np.zeros(more, dtype=np.int64))

    def _until(self, step: int) -> None:
        """Apportion all steps before `step`."""
        if step > self.steps:
            raise IndexError(f"step {step} is not planned; {self.steps} steps are")
        while self._ready < step:
            start, end = self._ready, min(self._ready + CHUNK_STEPS, self.steps)
            self._counts[start:end] = self._apportion(start, end)
            fresh = self._counts[start:end, :-1]
            drawn = fresh.copy()
            if self.replay_corpus >= 0:
                drawn[:, self.replay_corpus] += self._counts[start:end, -1]
            self._drawn[start + 1 : end + 1] = self._drawn[start] + np.cumsum(drawn, axis=0)
            self._fresh[start + 1 : end + 1] = self._fresh[start] + np.cumsum(fresh.sum(axis=1))
            self._ready = end

    def _apportion(self, start: int, end: int) -> Index:
        weights = self._weights[start:end]
        if isinstance(self._apportioner, Apportioner):
            return self._apportioner.take(weights)
        ahead = []  # rows' worth of tokens in the next rows of each corpus, summed
        for source, draw, first in zip(self.rows, self.draws, self._drawn[start].tolist(), strict=True):
            row = draw.at(first + np.arange((end - start) * self.rows_per_step))[0]
            ahead.append(np.concatenate([[0.0], np.cumsum(source.fill(row)) / self.sequence_length]))
        return self._apportioner.take(weights, ahead)

    def drawn(self, step: int) -> Index:
        """(num_corpora,) rows read in the running order of each corpus before `step`."""
        self._until(step)
        return self._drawn[step]

    def fresh_before(self, step: int) -> int:
        """Fresh rows before `step`."""
        self._until(step)
        return int(self._fresh[step])

    def fresh(self, steps: int) -> Index:
        """(steps, num_corpora) fresh rows of the first steps."""
        self._until(steps)
        return self._counts[:steps, :-1]

    def replay_rows(self, step: int) -> int:
        """Rows of Replay in a step."""
        self._until(step + 1)
        return int(self._counts[step, -1])

    def named(self, steps: int) -> Index:
        """(steps, num_corpora) rows of Replay that are read in the running order of a corpus."""
        self._until(steps)
        named = np.zeros((steps, len(self.rows)), dtype=np.int64)
        if self.replay_corpus >= 0:
            named[:, self.replay_corpus] = self._counts[:steps, -1]
        return named

    def replay_running(self, steps: int) -> Index:
        """Running numbers of the rows that Replay reads from its corpus in the first steps."""
        count = self.named(steps)[:, self.replay_corpus]
        before = np.repeat(self._drawn[:steps, self.replay_corpus] - np.cumsum(count) + count, count)
        return before + np.arange(count.sum())

    def running(self, index: Index) -> tuple[Index, Index]:
        """Global numbers of fresh rows (n,) -> corpus (n,) and running number in it (n,)."""
        if not index.size:
            return index.copy(), index.copy()
        while self._ready < self.steps and self._fresh[self._ready] <= index.max():
            self._until(self._ready + 1)
        seen = self._fresh[: self._ready + 1]
        if index.min() < 0 or index.max() >= seen[-1]:
            raise IndexError(f"fresh rows are numbered 0 to {seen[-1] - 1}, not {index.min()} to {index.max()}")
        step = np.searchsorted(seen, index, side="right") - 1
        offset = index - seen[step]
        fresh = self._counts[step, :-1]
        ends = np.cumsum(fresh, axis=1)
        corpus = (offset[:, None] >= ends).sum(axis=1)
        which = np.arange(len(index)), corpus
        running = self._drawn[step, corpus] + offset - (ends - fresh)[which]
        running += np.where(corpus == self.replay_corpus, self._counts[step, -1], 0)
        return corpus, running

    def groups(self, start: int, end: int) -> tuple[Index, NDArray[np.bool_]]:
        """Corpus and replay label of every row of some steps, before shuffling.

        In a step: for each corpus the rows of Replay, then the fresh ones; last those of the buffer, whose corpus
        stands as num_corpora.
        """
        self._until(end)
        num, counts = len(self.rows), self._counts[start:end]
        parts = np.zeros((end - start, 2 * num + 1), dtype=np.int64)
        parts[:, 1 : 2 * num : 2] = counts[:, :-1]
        parts[:, 2 * self.replay_corpus if self.replay_corpus >= 0 else 2 * num] = counts[:, -1]
        corpus = np.append(np.repeat(np.arange(num), 2), num)
        replayed = np.append(np.tile([True, False], num), True)
        steps = end - start
        return np.repeat(np.tile(corpus, steps), parts.ravel()), np.repeat(np.tile(replayed, steps), parts.ravel())
