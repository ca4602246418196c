"""Rows of a corpus: where the tokens of a row lie in its file, and reading them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cptlab.data.order import key_of, permute
from cptlab.data.packing import Batch, pack
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.data.draw import Draw

EVALUATION_KEY = key_of(0xE7A1)  # the same evaluation rows in every run, whatever its seed


class Rows(Protocol):
    """How a corpus is cut into rows of T tokens and the one that follows."""

    corpus: Corpus
    sequence_length: int

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def read(self, row: int, into: NDArray) -> None:
        """Copy the T + 1 tokens of a row."""
        ...

    def fill(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of rows (n,) that are no padding, at most T."""
        ...


class ConcatRows:
    """Rows cut from the file one after another, wherever documents end; they overlap by one token."""

    def __init__(self, corpus: Corpus, sequence_length: int) -> None:
        self.corpus, self.sequence_length = corpus, sequence_length
        self._tokens: NDArray | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_tokens": None}  # a worker opens the file itself

    def __len__(self) -> int:
        return num_rows(self.corpus, self.sequence_length)

    @property
    def tokens(self) -> NDArray:
        """The memory-mapped ids, opened once."""
        if self._tokens is None:
            self._tokens = self.corpus.tokens().view(np.ndarray)
        return self._tokens

    def read(self, row: int, into: NDArray) -> None:
        """One contiguous copy."""
        start = row * self.sequence_length
        into[:] = self.tokens[start : start + self.sequence_length + 1]

    def fill(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """No row has padding."""
        return np.full(len(row), self.sequence_length)


def num_rows(corpus: Corpus, sequence_length: int) -> int:
    """Rows of T + 1 tokens that overlap by one, so that every token but the first is predicted once."""
    return (corpus.num_tokens - 1) // sequence_length


def gather(corpus: Corpus, row: NDArray[np.int64], sequence_length: int) -> NDArray[np.int64]:
    """(n,) row numbers -> (n, T + 1) tokens."""
    rows = np.empty((len(row), sequence_length + 1), dtype=np.int64)
    source = ConcatRows(corpus, sequence_length)
    for number, into in zip(row.tolist(), rows, strict=True):
        source.read(number, into)
    return rows


def read_batch(
    sources: Sequence[Rows], corpus: NDArray[np.int64], row: NDArray[np.int64], replayed: NDArray[np.bool_],
    eos_id: int, vocab_size: int | None = None,
) -> Batch:  # fmt: skip
    """(B,) corpora and row numbers -> the batch of these rows, in this order. UserError for ids out of range."""
    raw = np.empty((len(row), sources[0].sequence_length + 1), dtype=widest(sources))
    for source, number, into in zip(corpus.tolist(), row.tolist(), raw, strict=True):
        sources[source].read(number, into)
    if vocab_size is not None and raw.size and raw.max() >= vocab_size:
        worst = int(raw.max(axis=1).argmax())
        source = sources[corpus[worst]].corpus
        raise UserError(
            f"{source.path}, row {row[worst]}, holds token {raw.max()}, but the tokenizer of corpus {source.name} has"
            f" {vocab_size} tokens; the file is corrupt or of another tokenizer: build the corpora again"
        )
    return pack(raw, eos_id, corpus, replayed)


def widest(sources: Sequence[Rows]) -> str:
    """The type that holds the tokens of all corpora."""
    for source in sources:
        if source.corpus.dtype == "uint32":
            return "uint32"
    return "uint16"


def evaluation_batch(corpus: Corpus, rows: int, sequence_length: int, eos_id: int) -> Batch:
    """The rows that every run is evaluated on: `rows` of them (fewer if the split is shorter), a fixed draw."""
    size = num_rows(corpus, sequence_length)
    count = min(rows, size)
    chosen = np.sort(permute(np.arange(count), size, EVALUATION_KEY))
    zeros = np.zeros(count, dtype=np.int64)
    return pack(gather(corpus, chosen, sequence_length), eos_id, zeros, zeros.astype(bool))


def drawn_tokens(draw: "Draw", rows: Rows, count: int, distinct: bool = False) -> int:
    """Tokens of the first `count` rows drawn from a corpus, of the distinct ones among them if asked."""
    within = draw.start % draw.size  # a stage that begins within an epoch may come to rows again before its end
    if distinct:
        count = min(count, draw.size * (2 if within else 1))
    if within:
        row = draw.at(np.arange(count))[0]
        row = np.unique(row) if distinct else row
        return len(row) * rows.sequence_length if isinstance(rows, ConcatRows) else int(rows.fill(row).sum())
    if isinstance(rows, ConcatRows):
        return count * rows.sequence_length
    whole, rest = divmod(count, draw.size)
    every = int(rows.fill(draw.at(np.arange(draw.size))[0]).sum()) if whole else 0
    return whole * every + int(rows.fill(draw.at(np.arange(rest) + whole * draw.size)[0]).sum())
