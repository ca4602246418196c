"""Rows of whole documents: best-fit-decreasing packing (Ding et al. 2024, "Fewer Truncations", arXiv 2404.10830).

A document longer than a row is cut into full rows and a rest; rests and documents go, longest first, into the row
with the least room that still holds them. What stays free is padding. A pure function of the token file, kept in an
index beside it.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

Index = NDArray[np.int64]
REPORT_TOKENS = 1 << 27  # of a corpus whose rows are cut one after another
SCAN_TOKENS = 1 << 22  # tokens searched for document ends at a time


@dataclass(frozen=True)
class PackingReport:
    """What packing did to the documents of one corpus."""

    rows: int
    documents: int
    split_documents: int  # longer than a row, so cut
    split_if_concatenated: int  # documents that a row boundary would cut without packing
    padding: int  # [token]
    tokens: int

    def line(self, name: str) -> str:
        """One sentence."""
        documents = max(self.documents, 1)
        return (
            f"packed {name} into {self.rows} rows: {self.split_documents / documents:.2%} of {self.documents} documents"
            f" are split ({self.split_if_concatenated / documents:.2%} if concatenated), padding"
            f" {self.padding / max(self.padding + self.tokens, 1):.3%}"
        )


@dataclass(frozen=True)
class ConcatReport:
    """What cutting rows out of the file one after another does to the documents of one corpus."""

    documents: int
    longer_than_a_row: int  # so split wherever rows begin
    split_documents: int  # that the end of a row cuts, longer ones included
    tokens: int  # [token] looked at: the first REPORT_TOKENS of a larger corpus


def concat_report(tokens: NDArray, row_tokens: int, eos_id: int) -> ConcatReport:
    """Counts over the documents that end in the first REPORT_TOKENS tokens: a quarter of a gigabyte is read at most."""
    tokens = tokens[:REPORT_TOKENS]
    ends = document_ends(tokens, eos_id)
    begins = np.concatenate([[0], ends])[: len(ends)]
    return ConcatReport(
        documents=len(ends), longer_than_a_row=int((ends - begins > row_tokens).sum()),
        split_documents=int((begins // row_tokens != (ends - 1) // row_tokens).sum()), tokens=len(tokens),
    )  # fmt: skip


def document_ends(tokens: NDArray, eos_id: int) -> Index:
    """Index after the EOS of every document: (num_documents,), read in pieces."""
    parts = [np.flatnonzero(tokens[i : i + SCAN_TOKENS] == eos_id) + i + 1 for i in range(0, len(tokens), SCAN_TOKENS)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def cut(ends: Index, row_tokens: int) -> tuple[Index, Index]:
    """Documents -> pieces of at most a row: start (p,) and length (p,), in the order of the file."""
    starts = np.concatenate([[0], ends[:-1]])
    pieces = -(-(ends - starts) // row_tokens)
    document = np.repeat(np.arange(len(ends)), pieces)
    number = np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = starts[document] + number * row_tokens
    return start, np.minimum(ends[document] - start, row_tokens)


def best_fit(length: Index, row_tokens: int) -> Index:
    """The row of every piece, (p,) -> (p,): best-fit decreasing, pieces of one length in their order.

    All pieces of one length are placed together: a row with the least room takes as many as it holds.
    """
    row = np.empty(len(length), dtype=np.int64)
    order = np.argsort(-length, kind="stable")
    sizes, first = np.unique(-length[order], return_index=True)
    bounds = [*first.tolist(), len(order)]
    room: dict[int, list[Index]] = {}  # free tokens -> rows with that much room
    opened = 0
    for size, start, end in zip((-sizes).tolist(), bounds[:-1], bounds[1:], strict=True):
        ahead = order[start:end]
        for free in sorted(f for f in room if f >= size):
            rows = np.concatenate(room.pop(free))
            fit = free // size
            used = min(len(rows), -(-len(ahead) // fit))
            ahead = _place(row, ahead, rows[:used], fit, free, size, room)
            if used < len(rows):
                room.setdefault(free, []).append(rows[used:])
            if not len(ahead):
                break
        if len(ahead):
            fit = row_tokens // size
            new = opened + np.arange(-(-len(ahead) // fit))
            opened += len(new)
            _place(row, ahead, new, fit, row_tokens, size, room)
    return row


def _place(
    row: Index, ahead: Index, rows: Index, fit: int, free: int, size: int, room: dict[int, list[Index]]
) -> Index:
    """Fill `rows` with `fit` pieces each, the last one with what is left; returns the pieces left over."""
    count = min(len(ahead), len(rows) * fit)
    row[ahead[:count]] = np.repeat(rows, fit)[:count]
    last = count - (len(rows) - 1) * fit  # pieces in the last row
    if len(rows) > 1:
        room.setdefault(free - fit * size, []).append(rows[:-1])
    room.setdefault(free - last * size, []).append(rows[-1:])
    return ahead[count:]


class BestFitRows:
    """Rows of documents; the index is made once, beside the token file, and memory-mapped."""

    def __init__(self, corpus: Corpus, sequence_length: int, eos_id: int) -> None:
        self.corpus, self.sequence_length, self.eos_id = corpus, sequence_length, eos_id
        stem = f"{Path(corpus.path).name}.best_fit.{sequence_length}.{corpus.content_hash[:12]}"
        self._file = Path(corpus.path).with_name(f"{stem}.npy")
        self._report = self._file.with_suffix(".json")
        if not (self._file.exists() and self._report.exists()):
            self._build()
        self.report = PackingReport(**json.loads(self._report.read_text()))
        self.mean_fill = self.report.tokens / (self.report.rows * sequence_length)
        self._tokens: NDArray | None = None
        self._index: NDArray | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_tokens": None, "_index": None}  # a worker opens the files itself

    def __len__(self) -> int:
        return self.report.rows

    @property
    def tokens(self) -> NDArray:
        """The memory-mapped ids, opened once."""
        if self._tokens is None:
            self._tokens = self.corpus.tokens().view(np.ndarray)
        return self._tokens

    @property
    def index(self) -> NDArray:
        """(1 + rows + pieces, 2): before row r stands where its pieces begin and how many tokens it holds."""
        if self._index is None:
            index = np.load(self._file, mmap_mode="r").view(np.ndarray)
            self._index = index
            return index
        return self._index

    def read(self, row: int, into: NDArray) -> None:
        """Documents one after another, then padding (EOS)."""
        first, end = self.index[row, 0], self.index[row + 1, 0]
        filled = following = 0
        for start, length in self.index[first:end].tolist():
            following = start + length
            into[filled : filled + length] = self.tokens[start:following]
            filled += length
        into[filled:] = self.eos_id
        if filled == self.sequence_length and following < len(self.tokens):
            into[filled] = self.tokens[following]  # the label of a row that ends within a document

    def fill(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of rows (n,) that are no padding."""
        return self.index[row, 1]

    def _build(self) -> None:
        tokens, size = self.tokens_of_file(), self.sequence_length
        ends = document_ends(tokens, self.eos_id)
        if not len(ends) or ends[-1] != len(tokens):
            raise UserError(
                f"{self.corpus.path} does not end with the end of a document (token {self.eos_id}); data.packing="
                "best_fit needs it: build the corpora again or use data.packing=concat"
            )
        start, length = cut(ends, size)
        row = best_fit(length, size)
        order = np.argsort(row, kind="stable")
        rows = int(row.max()) + 1
        index = np.empty((1 + rows + len(order), 2), dtype=np.int64)
        index[: rows + 1, 0] = 1 + rows + np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
        index[:rows, 1] = np.bincount(row, weights=length, minlength=rows)
        index[rows, 1] = 0
        index[rows + 1 :, 0], index[rows + 1 :, 1] = start[order], length[order]
        begins = np.concatenate([[0], ends[:-1]])
        report = PackingReport(
            rows=rows, documents=len(ends), split_documents=int((ends - begins > size).sum()),
            split_if_concatenated=int((begins // size != (ends - 1) // size).sum()),
            padding=rows * size - len(tokens), tokens=len(tokens),
        )  # fmt: skip
        temporary = self._file.with_name(f".{self._file.stem}.{os.getpid()}.npy")
        np.save(temporary, index)
        os.replace(temporary, self._file)
        temporary.write_text(json.dumps(asdict(report)))
        os.replace(temporary, self._report)
        print(report.line(self.corpus.name), file=sys.stderr, flush=True)

    def tokens_of_file(self) -> NDArray:
        """The ids, opened for the search alone."""
        return self.corpus.tokens().view(np.ndarray)
