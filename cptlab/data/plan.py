"""Rows of every corpus in every step: worked out from weights when a step is first asked for."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.data.draw import Draw
from cptlab.data.fresh import FreshRows
from cptlab.data.rows import ConcatRows, Rows
from cptlab.data.stretch import CHUNK_STEPS, Shares, Stretch
from cptlab.mixtures.apportion import Apportioner
from cptlab.mixtures.token_true import TokenApportioner

Index = NDArray[np.int64]


class Plan:
    """Counts of fresh and replayed rows.

    Steps are apportioned in order from the first, from a mark that an earlier process left, or, where no more than
    two sources have a share, from any step. What lies before is worked out only if it is asked for.
    replay_corpus: index of the corpus that Replay reads on in, -1 if it reads from none.
    """

    def __init__(
        self, rows: Sequence[Rows], draws: Sequence[Draw], rows_per_step: int, sequence_length: int, replay_corpus: int
    ) -> None:
        num = len(rows)
        self.rows, self.draws, self.sequence_length = rows, draws, sequence_length
        self.rows_per_step, self.replay_corpus = rows_per_step, replay_corpus
        self.padded = not all(isinstance(source, ConcatRows) for source in rows)
        apportioner: Apportioner | TokenApportioner = Apportioner(num + 1, rows_per_step)
        if self.padded:
            fills = [r.mean_fill for r in rows]  # type: ignore[attr-defined]
            fills.append(fills[replay_corpus] if replay_corpus >= 0 else sum(fills) / num)
            apportioner = TokenApportioner(fills, rows_per_step, replay_corpus)
        self.shares = Shares(num + 1)
        self.dtype = np.uint16 if rows_per_step < 2**16 else np.int64
        self._counts = np.zeros((0, num + 1), dtype=self.dtype)  # fresh rows of each corpus, then those of Replay
        self._stretches = [Stretch(0, apportioner, np.zeros(num + 1, dtype=np.int64))]
        self._fresh = FreshRows(num)

    @property
    def steps(self) -> int:
        """Steps that are planned."""
        return len(self.shares)

    def extend(self, weights: NDArray[np.float64]) -> None:
        """Append steps: (k, num_corpora + 1) shares of fresh rows and, last, of replayed ones."""
        more = np.zeros((len(weights), weights.shape[1]), dtype=self.dtype)  # takes no memory until it is written to
        self._counts = np.vstack([self._counts, more]) if self.steps else more
        self.shares.extend(weights)

    def _until(self, step: int) -> Stretch:
        """The stretch that `step` ends or lies in, apportioned up to there."""
        if step > self.steps:
            raise IndexError(f"step {step} is not planned; {self.steps} steps are")
        at = bisect_right(self._stretches, step, key=lambda stretch: stretch.start) - 1
        stretch = self._stretches[at]
        if step - stretch.ready > 8 * CHUNK_STEPS and (later := stretch.jump(step, self.shares, self.rows_per_step)):
            self._stretches.insert(at + 1, later)
            stretch = later
        self._fill(stretch, step)
        return stretch

    def _fill(self, stretch: Stretch, step: int) -> None:
        while stretch.ready < step:
            start, end = stretch.ready, min(stretch.ready + CHUNK_STEPS, self.steps)
            counts = self._apportion(stretch, start, end)
            self._counts[start:end] = counts
            stretch.reach(end, counts.sum(axis=0))

    def _apportion(self, stretch: Stretch, start: int, end: int) -> Index:
        weights = self.shares[start:end]
        if isinstance(stretch.apportioner, Apportioner):
            return stretch.apportioner.take(weights)
        ahead = []  # rows' worth of tokens in the next rows of each corpus, summed
        drawn = self._drawn(stretch.totals)
        for source, draw, first in zip(self.rows, self.draws, drawn.tolist(), strict=True):
            row = draw.at(first + np.arange((end - start) * self.rows_per_step))[0]
            ahead.append(np.concatenate([[0.0], np.cumsum(source.fill(row)) / self.sequence_length]))
        return stretch.apportioner.take(weights, ahead)

    def _drawn(self, totals: Index) -> Index:
        drawn = totals[:-1].copy()
        if self.replay_corpus >= 0:
            drawn[self.replay_corpus] += totals[-1]
        return drawn

    def totals(self, step: int) -> Index:
        """(num_corpora + 1,) fresh rows of each corpus and rows of Replay before `step`."""
        mark, totals = self._until(step).before(step)
        return totals + self._counts[mark:step].sum(axis=0, dtype=np.int64)

    def drawn(self, step: int) -> Index:
        """(num_corpora,) rows read in the running order of each corpus before `step`."""
        return self._drawn(self.totals(step))

    def fresh_before(self, step: int) -> int:
        """Fresh rows before `step`."""
        return int(self.totals(step)[:-1].sum())

    def counts(self, start: int, end: int) -> Index:
        """(end - start, num_corpora + 1) fresh rows of each corpus and rows of Replay in some steps."""
        at = start
        while at < end:
            stretch = self._until(at + 1)
            at = min(stretch.ready, end)
        return self._counts[start:end].astype(np.int64)

    def named(self, steps: int) -> Index:
        """(steps, num_corpora) rows of Replay that are read in the running order of a corpus."""
        named = np.zeros((steps, len(self.rows)), dtype=np.int64)
        if self.replay_corpus >= 0:
            named[:, self.replay_corpus] = self.counts(0, steps)[:, -1]
        return named

    def replay_running(self, steps: int) -> Index:
        """Running numbers of the rows that Replay reads from its corpus in the first steps."""
        counts = self.counts(0, steps)
        count, other = counts[:, -1], counts[:, self.replay_corpus]
        before = np.cumsum(count + other) - count - other
        return np.repeat(before - np.cumsum(count) + count, count) + np.arange(count.sum())

    def running(self, index: Index) -> tuple[Index, Index]:
        """Global numbers of fresh rows (n,) -> corpus (n,) and running number in it (n,)."""
        if not index.size:
            return index.copy(), index.copy()
        last = int(index.max())
        while self._fresh.rows <= last and self._fresh.steps < self.steps:
            start = self._fresh.steps
            end = min(start + CHUNK_STEPS, self.steps)
            self._fresh.add(self.counts(start, end), self.replay_corpus, self.steps)
        if index.min() < 0 or last >= self._fresh.rows:
            raise IndexError(f"fresh rows are numbered 0 to {self._fresh.rows - 1}, not {index.min()} to {last}")
        return self._fresh.find(index)

    def groups(self, start: int, end: int) -> tuple[Index, NDArray[np.bool_]]:
        """Corpus and replay label of every row of some steps, before shuffling.

        In a step: for each corpus the rows of Replay, then the fresh ones; last those of the buffer, whose corpus
        stands as num_corpora.
        """
        num, counts = len(self.rows), self.counts(start, end)
        parts = np.zeros((end - start, 2 * num + 1), dtype=np.int64)
        parts[:, 1 : 2 * num : 2] = counts[:, :-1]
        parts[:, 2 * self.replay_corpus if self.replay_corpus >= 0 else 2 * num] = counts[:, -1]
        corpus = np.append(np.repeat(np.arange(num), 2), num)
        replayed = np.append(np.tile([True, False], num), True)
        steps = end - start
        return np.repeat(np.tile(corpus, steps), parts.ravel()), np.repeat(np.tile(replayed, steps), parts.ravel())

    def state_dict(self, step: int) -> dict[str, Any]:
        """A mark at or before `step`, plain JSON, from which a later process goes on apportioning."""
        return self._until(step).mark(step)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin at a mark. ValueError for one of another plan."""
        stretch = self._stretches[0].from_mark(state, self.shares, self.rows_per_step)
        at = bisect_right(self._stretches, stretch.start, key=lambda other: other.start)
        if self._stretches[at - 1].ready < stretch.start:
            self._stretches.insert(at, stretch)
