"""Documents packed into rows: positions start again at each document, and no loss crosses a boundary."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

IGNORE = -100  # label that the loss skips
FEW_DOCUMENTS = 96  # up to here a copy a document is faster than one pass over all tokens


@dataclass(frozen=True)
class Batch:
    """Rows of packed documents (B rows of T tokens).

    input_ids, labels, position_ids: (B, T) int64; labels are the next tokens, IGNORE where the next
    token belongs to another document. corpus: (B,) index into the stream's corpora. replayed: (B,) bool.
    """

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    corpus: NDArray[np.int64]
    replayed: NDArray[np.bool_]


def pack(rows: NDArray, eos_id: int, corpus: NDArray[np.int64], replayed: NDArray[np.bool_]) -> Batch:
    """Cut rows (B, T + 1) of any integer type into inputs and labels; every document ends in EOS.

    Padding is EOS as well: a document of one token each, without a label.
    """
    inputs, labels = rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64)
    length = inputs.shape[1]
    ends = (rows == eos_id).ravel().nonzero()[0]
    if len(ends):
        row = ends // (length + 1)
        ends = (ends - row)[ends - row * (length + 1) < length]  # the last token of a row is a label only
        labels.reshape(-1)[ends] = IGNORE
    return Batch(inputs, labels, positions_after(ends, inputs.shape), corpus, replayed)


def positions(ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position within the document, (B, T); ends: (B, T), true at the last token of a document."""
    return positions_after(np.flatnonzero(ends), ends.shape)


def positions_after(ends: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Position within the document, (B, T); ends: flat indices of the last tokens of documents, ascending."""
    num_rows, length = shape
    index = counter(length)
    if len(ends) <= FEW_DOCUMENTS:
        place = np.empty(num_rows * length, dtype=np.int64)
        place.reshape(shape)[:] = index
        starts = (ends + 1).tolist()
        for start, following in zip(starts, [*starts[1:], num_rows * length], strict=False):  # no start: no pair
            end = min(following, (start // length + 1) * length)  # a document ends with its row at the latest
            place[start:end] = index[: end - start]
        return place.reshape(shape)
    starts = np.concatenate([np.arange(0, num_rows * length, length), ends + 1])
    starts.sort()
    # A document that ends with its row starts nothing: the next row does. One such start may lie past the end.
    starts = starts[: starts.searchsorted(num_rows * length)]
    first = np.repeat(starts, np.diff(starts, append=num_rows * length))
    return np.subtract(np.arange(num_rows * length), first, out=first).reshape(shape)


@lru_cache(maxsize=8)
def counter(length: int) -> NDArray[np.int64]:
    """0, 1, ..., length - 1, made once and never written to."""
    index = np.arange(length)
    index.flags.writeable = False
    return index
