"""The token stream: which row of which corpus stands where, for every step of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.data.draw import Draw
from cptlab.data.order import keys_of, permute
from cptlab.data.packing import Batch
from cptlab.data.rows import ConcatRows, evaluation_batch, gather, num_rows, read_batch
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError
from cptlab.mixtures.apportion import Apportioner
from cptlab.mixtures.base import CorpusFacts, Mixture
from cptlab.replay.base import Replay

__all__ = ["TokenStream", "evaluation_batch", "gather", "num_rows"]
Counts = NDArray[np.int64]
BLOCK_STEPS = 64  # steps whose order is worked out together


class TokenStream:
    """Global batches of a run, a pure function of (seed, step) and of what was planned.

    A row is "fresh" if the mixture draws it; fresh rows are numbered through the run, so that `locate` finds any
    of them again. Replay draws from a named corpus, in that corpus' own running order, or from fresh rows already
    seen. A mixture that learns is planned a segment at a time with `extend`; what is planned never changes.

    corpora: the training split of each corpus, in the order of Batch.corpus.
    """

    def __init__(
        self, corpora: Mapping[str, Corpus], mixture: Mixture, replay: Replay, *, general: str,
        steps: int, rows_per_step: int, sequence_length: int, eos_id: int, seed: int,
        max_epochs: float | None = None, on_max_epochs: str = "error",
    ) -> None:  # fmt: skip
        self.corpora = list(corpora.values())
        self.steps, self.rows_per_step, self.sequence_length = steps, rows_per_step, sequence_length
        self.eos_id, self.seed, self.replay = eos_id, seed, replay
        self.rows = [ConcatRows(corpus, sequence_length) for corpus in self.corpora]
        facts = {
            name: CorpusFacts(corpus.num_tokens, len(rows), corpus.tokens())
            for (name, corpus), rows in zip(corpora.items(), self.rows, strict=True)
        }
        mixture.prepare(facts, steps * rows_per_step)
        sets = mixture.row_sets(list(corpora), general)
        sizes = zip(corpora, self.rows, strict=True)
        self.draws = [Draw(seed, i, len(rows), sets.get(name)) for i, (name, rows) in enumerate(sizes)]
        source = replay.corpus or general
        self.replay_corpus = list(corpora).index(source) if source in corpora else -1
        self._replay_name = source
        num = len(self.corpora)
        self._apportioner = Apportioner(num + 1, rows_per_step)
        self.fresh = np.zeros((0, num), dtype=np.int64)  # (planned, num_corpora) rows that the mixture draws
        self.replay_rows = np.zeros(0, dtype=np.int64)  # (planned,) rows that Replay draws
        self._blocks: dict[tuple[int, int], tuple] = {}

    @classmethod
    def plan(
        cls, corpora: Mapping[str, Corpus], mixture: Mixture, replay: Replay, *, general: str, steps: int, **rest: Any
    ) -> "TokenStream":  # fmt: skip
        """Apportion every batch among mixture and replay; the clock u is that after the batch's tokens."""
        stream = cls(corpora, mixture, replay, general=general, steps=steps, **rest)
        planned = min(mixture.planned_at_start(steps), replay.planned_at_start(steps))
        u = (np.arange(planned) + 1.0) / steps
        stream.extend(mixture.weights(u, list(corpora), general), replay.share(u))
        return stream

    def extend(self, weights: NDArray[np.float64], replay_share: NDArray[np.float64]) -> None:
        """Plan the next k steps. weights: (k, num_corpora), rows sum to 1; replay_share: (k,) off the top."""
        if self.planned_steps + len(weights) > self.steps:
            raise ValueError(f"{self.planned_steps} + {len(weights)} steps planned of {self.steps}")
        share = np.array(replay_share, dtype=np.float64)
        if share.any() and not self.replay.from_buffer and self.replay_corpus < 0:
            names = ", ".join(corpus.name for corpus in self.corpora)
            raise UserError(f"replay.corpus is {self._replay_name or 'empty'}; data has {names}")
        if self.replay.from_buffer and not self.planned_steps and len(share):
            share[0] = 0.0  # nothing is seen yet
        rows = self._apportioner.take(np.hstack([weights * (1 - share[:, None]), share[:, None]]))
        self.fresh = np.vstack([self.fresh, rows[:, :-1]])
        self.replay_rows = np.concatenate([self.replay_rows, rows[:, -1]])
        named = np.zeros_like(self.fresh)
        if not self.replay.from_buffer and self.replay_corpus >= 0:
            named[:, self.replay_corpus] = self.replay_rows
        zero = np.zeros((1, len(self.corpora)), dtype=np.int64)
        self._named = named  # (planned, num_corpora) rows of Replay that go on in a corpus' running order
        self._drawn = np.vstack([zero, np.cumsum(self.fresh + named, axis=0)])  # running numbers before each step
        self._fresh_before = np.concatenate([[0], np.cumsum(self.fresh.sum(axis=1))])

    @property
    def planned_steps(self) -> int:
        """Steps whose batches are known."""
        return len(self.fresh)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch."""
        return self.rows_per_step * self.sequence_length

    def fresh_before(self, step: int) -> int:
        """Rows that the mixture drew before `step`."""
        return int(self._fresh_before[step])

    def locate(self, index: NDArray[np.int64]) -> tuple[Counts, Counts, Counts]:
        """Global numbers of fresh rows (n,) -> corpus (n,), row in the corpus (n,), epoch (n,)."""
        index = np.asarray(index, dtype=np.int64)
        if index.size and not 0 <= index.min() <= index.max() < self._fresh_before[-1]:
            raise ValueError(f"fresh rows are numbered 0 to {self._fresh_before[-1] - 1}")
        step = np.searchsorted(self._fresh_before, index, side="right") - 1
        offset = index - self._fresh_before[step]
        ends = np.cumsum(self.fresh[step], axis=1)
        corpus = (offset[:, None] >= ends).sum(axis=1)
        within = offset - (ends - self.fresh[step])[np.arange(len(index)), corpus]
        running = self._drawn[step, corpus] + self._named[step, corpus] + within
        row, epoch = np.empty_like(index), np.empty_like(index)
        for i in np.unique(corpus):
            here = corpus == i
            row[here], epoch[here] = self.draws[i].at(running[here])
        return corpus, row, epoch

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The rows of `rank` in the global batch of `step` (0-based), shuffled across corpora.

        The ranks' rows one after another are the global batch, whatever their number.
        """
        if not 0 <= step < self.planned_steps:
            raise IndexError(f"step {step} is not planned; {self.planned_steps} of {self.steps} steps are")
        start = step - step % BLOCK_STEPS
        corpus, row, replayed = self._order(start, min(start + BLOCK_STEPS, self.planned_steps))
        first, rows = (step - start) * self.rows_per_step, self.rows_per_step
        own = slice(first + rank * rows // world_size, first + (rank + 1) * rows // world_size)
        return read_batch(self.rows, corpus[own], row[own], replayed[own], self.eos_id)

    def _order(self, start: int, end: int) -> tuple[Counts, Counts, NDArray[np.bool_]]:
        """Corpus, row and replay label of every row of steps `start` to `end`, in the order of training."""
        if (start, end) not in self._blocks:
            self._blocks = {(start, end): self._ordered(start, end)}
        return self._blocks[start, end]

    def _ordered(self, start: int, end: int) -> tuple[Counts, Counts, NDArray[np.bool_]]:
        steps, num = end - start, len(self.corpora)
        buffered = self.replay_rows[start:end] if self.replay.from_buffer else np.zeros(steps, dtype=np.int64)
        counts = np.column_stack([self._named[start:end], self.fresh[start:end], buffered])
        # Groups of a step: for each corpus Replay's rows, then the fresh ones; the buffer's last.
        groups = np.append(np.arange(2 * num).reshape(2, num).T.ravel(), 2 * num)
        counts = counts[:, groups]
        corpus = np.repeat(np.tile(np.append(np.repeat(np.arange(num), 2), num), steps), counts.ravel())
        replayed = np.repeat(np.tile(np.append(np.tile([True, False], num), True), steps), counts.ravel())
        row = np.empty(len(corpus), dtype=np.int64)
        for i in range(num):
            running = np.arange(self._drawn[start, i], self._drawn[end, i])
            row[corpus == i] = self.draws[i].at(running)[0]
        if buffered.any():
            picked = [self._picks(step) for step in range(start, end)]
            here = corpus == num
            corpus[here], row[here], _ = self.locate(np.concatenate(picked))
        keys = keys_of(self.seed, 1, last=np.arange(start, end))[:, None]
        slots = np.broadcast_to(np.arange(self.rows_per_step), (steps, self.rows_per_step))
        place = permute(slots, self.rows_per_step, np.broadcast_to(keys, slots.shape))
        place = (place + np.arange(steps)[:, None] * self.rows_per_step).ravel()
        return corpus[place], row[place], replayed[place]

    def _picks(self, step: int) -> NDArray[np.int64]:
        count = int(self.replay_rows[step])
        if not count:
            return np.empty(0, dtype=np.int64)
        return self.replay.pick(self.seed, step, count, self.fresh_before(step))  # type: ignore[attr-defined]

    @property
    def replayed(self) -> Counts:
        """(planned, num_corpora) rows of each corpus that Replay draws in each batch."""
        if not self.replay.from_buffer:
            return self._named
        picked = np.zeros_like(self.fresh)
        for step in np.flatnonzero(self.replay_rows).tolist():
            picked[step] = np.bincount(self.locate(self._picks(step))[0], minlength=len(self.corpora))
        return picked

    @property
    def counts(self) -> Counts:
        """(planned, num_corpora) rows of each corpus in each batch, replayed ones included."""
        return self.fresh + self.replayed

    def tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Tokens of each corpus after `step` steps."""
        return self._tokens(self.counts[:step].sum(axis=0))

    def replay_tokens(self, step: int) -> int:
        """Tokens drawn by Replay after `step` steps."""
        return int(self.replay_rows[:step].sum()) * self.sequence_length

    def unique_tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Distinct tokens of each corpus after `step` steps: an epoch repeats no row."""
        return self._tokens(np.minimum(self._drawn[step], [draw.size for draw in self.draws]))

    def epochs_by_corpus(self, step: int) -> dict[str, float]:
        """Passes over the rows of each corpus after `step` steps, replayed rows included."""
        given = self.counts[:step].sum(axis=0)
        return {c.name: int(n) / d.size for c, n, d in zip(self.corpora, given, self.draws, strict=True)}

    def _tokens(self, rows: NDArray[np.int64]) -> dict[str, int]:
        return {c.name: int(n) * self.sequence_length for c, n in zip(self.corpora, rows, strict=True)}
