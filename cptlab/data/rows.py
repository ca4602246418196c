"""Rows of a corpus: where the tokens of a row lie in its file, and reading them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cptlab.data.order import key_of, permute
from cptlab.data.packing import Batch, finish, pack
from cptlab.data.tokens import Corpus

EVALUATION_KEY = key_of(0xE7A1)  # the same evaluation rows in every run, whatever its seed


@dataclass(frozen=True, eq=False)
class ConcatRows:
    """Rows of T + 1 tokens cut from the file one after another; they overlap by one token."""

    corpus: Corpus
    sequence_length: int

    @cached_property
    def tokens(self) -> NDArray:
        """The memory-mapped ids, opened once."""
        return self.corpus.tokens().view(np.ndarray)

    def __getstate__(self) -> dict:
        """Without the open file: a worker opens its own."""
        return {"corpus": self.corpus, "sequence_length": self.sequence_length}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)

    def __len__(self) -> int:
        return num_rows(self.corpus, self.sequence_length)

    def read(self, row: int, inputs: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Copy the tokens of a row and those that follow them into (T,) buffers."""
        start = row * self.sequence_length
        end = start + self.sequence_length
        inputs[:] = self.tokens[start:end]
        labels[:] = self.tokens[start + 1 : end + 1]


def num_rows(corpus: Corpus, sequence_length: int) -> int:
    """Rows of T + 1 tokens that overlap by one, so that every token but the first is predicted once."""
    return (corpus.num_tokens - 1) // sequence_length


def gather(corpus: Corpus, row: NDArray[np.int64], sequence_length: int) -> NDArray[np.int64]:
    """(n,) row numbers -> (n, T + 1) tokens."""
    tokens = corpus.tokens()
    return np.asarray(tokens[row[:, None] * sequence_length + np.arange(sequence_length + 1)], dtype=np.int64)


def read_batch(
    sources: list[ConcatRows], corpus: NDArray[np.int64], row: NDArray[np.int64], replayed: NDArray[np.bool_],
    eos_id: int,
) -> Batch:  # fmt: skip
    """(B,) corpora and row numbers -> the batch of these rows, in this order."""
    shape = (len(row), sources[0].sequence_length)
    inputs, labels = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
    for i, (source, number) in enumerate(zip(corpus.tolist(), row.tolist(), strict=True)):
        sources[source].read(number, inputs[i], labels[i])
    return finish(inputs, labels, eos_id, corpus, replayed)


def evaluation_batch(corpus: Corpus, rows: int, sequence_length: int, eos_id: int) -> Batch:
    """The rows that every run is evaluated on: `rows` of them (fewer if the split is shorter), a fixed draw."""
    size = num_rows(corpus, sequence_length)
    count = min(rows, size)
    chosen = np.sort(permute(np.arange(count), size, EVALUATION_KEY))
    zeros = np.zeros(count, dtype=np.int64)
    return pack(gather(corpus, chosen, sequence_length), eos_id, zeros, zeros.astype(bool))
