"""The token stream: which row of which corpus stands where, for every step of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cptlab.data.corpus import Corpus
from cptlab.data.order import key_of, permute
from cptlab.data.packing import Batch, pack
from cptlab.errors import UserError
from cptlab.mixtures.apportion import apportion
from cptlab.mixtures.base import Mixture
from cptlab.replay.base import Replay

EVALUATION_KEY = key_of(0xE7A1)  # the same evaluation rows in every run, whatever its seed


@dataclass(frozen=True)
class TokenStream:
    """Global batches of a run, a pure function of (seed, step).

    corpora: the training split of each corpus, in the order of Batch.corpus.
    counts: (steps, num_corpora) rows of each corpus in each batch, replayed ones included.
    replayed: (steps, num_corpora) how many of these Replay drew.
    """

    corpora: Sequence[Corpus]
    counts: NDArray[np.int64]
    replayed: NDArray[np.int64]
    rows_per_step: int
    sequence_length: int
    eos_id: int
    seed: int

    @classmethod
    def plan(
        cls, corpora: Mapping[str, Corpus], mixture: Mixture, replay: Replay, *, general: str,
        steps: int, rows_per_step: int, sequence_length: int, eos_id: int, seed: int,
    ) -> "TokenStream":  # fmt: skip
        """Apportion every batch among mixture and replay; the clock u is that after the batch's tokens."""
        names = list(corpora)
        u = (np.arange(steps) + 1.0) / steps
        share = replay.share(u)[:, None]
        weights = mixture.weights(u, names, general) * (1 - share)
        if share.any():
            source = replay.corpus or general
            if source not in names:
                raise UserError(f"replay.corpus is {source or 'empty'}; data has {', '.join(names)}")
            weights = np.hstack([weights, share])
        rows = apportion(weights, rows_per_step)
        replayed = np.zeros((steps, len(names)), dtype=np.int64)
        if share.any():
            replayed[:, names.index(replay.corpus or general)] = rows[:, -1]
            rows = rows[:, :-1]
        return cls(list(corpora.values()), rows + replayed, replayed, rows_per_step, sequence_length, eos_id, seed)

    @cached_property
    def given(self) -> NDArray[np.int64]:
        """(steps + 1, num_corpora) rows of each corpus before each step."""
        return np.vstack([np.zeros_like(self.counts[:1]), np.cumsum(self.counts, axis=0)])

    @property
    def steps(self) -> int:
        """Number of global batches."""
        return len(self.counts)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch."""
        return self.rows_per_step * self.sequence_length

    def batch(self, step: int) -> Batch:
        """Global batch of `step` (0-based): B rows, shuffled across corpora."""
        before = self.given[step]
        rows = np.empty((self.rows_per_step, self.sequence_length + 1), dtype=np.int64)
        corpus = np.repeat(np.arange(len(self.corpora)), self.counts[step])
        replayed = np.zeros(self.rows_per_step, dtype=bool)
        filled = 0
        for i, count in enumerate(self.counts[step].tolist()):
            rows[filled : filled + count] = self._rows(i, before[i] + np.arange(count))
            replayed[filled : filled + self.replayed[step, i]] = True
            filled += count
        place = permute(np.arange(self.rows_per_step), self.rows_per_step, key_of(self.seed, 1, step))
        return pack(rows[place], self.eos_id, corpus[place], replayed[place])

    def _rows(self, corpus: int, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of one corpus by their running number: each epoch is a fresh keyed permutation."""
        size = num_rows(self.corpora[corpus], self.sequence_length)
        row = np.empty_like(index)
        for epoch in np.unique(index // size):
            chosen = index // size == epoch
            row[chosen] = permute(index[chosen] % size, size, key_of(self.seed, 2, corpus, int(epoch)))
        return gather(self.corpora[corpus], row, self.sequence_length)

    def tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Tokens of each corpus after `step` steps."""
        return self._tokens(self.given[step])

    def replay_tokens(self, step: int) -> int:
        """Tokens drawn by Replay after `step` steps."""
        return int(self.replayed[:step].sum()) * self.sequence_length

    def unique_tokens_by_corpus(self, step: int) -> dict[str, int]:
        """Distinct tokens of each corpus after `step` steps: an epoch repeats no row."""
        sizes = [num_rows(corpus, self.sequence_length) for corpus in self.corpora]
        return self._tokens(np.minimum(self.given[step], sizes))

    def _tokens(self, rows: NDArray[np.int64]) -> dict[str, int]:
        return {c.name: int(n) * self.sequence_length for c, n in zip(self.corpora, rows, strict=True)}


def num_rows(corpus: Corpus, sequence_length: int) -> int:
    """Rows of T + 1 tokens that overlap by one, so that every token but the first is predicted once."""
    return (corpus.num_tokens - 1) // sequence_length


def gather(corpus: Corpus, row: NDArray[np.int64], sequence_length: int) -> NDArray[np.int64]:
    """(n,) row numbers -> (n, T + 1) tokens."""
    tokens = corpus.tokens()
    return np.asarray(tokens[row[:, None] * sequence_length + np.arange(sequence_length + 1)], dtype=np.int64)


def evaluation_batch(corpus: Corpus, rows: int, sequence_length: int, eos_id: int) -> Batch:
    """The rows that every run is evaluated on: `rows` of them (fewer if the split is shorter), a fixed draw."""
    size = num_rows(corpus, sequence_length)
    count = min(rows, size)
    chosen = np.sort(permute(np.arange(count), size, EVALUATION_KEY))
    zeros = np.zeros(count, dtype=np.int64)
    return pack(gather(corpus, chosen, sequence_length), eos_id, zeros, zeros.astype(bool))
