"""Documents packed into rows: positions start again at each document, and no loss crosses a boundary."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORE = -100  # label that the loss skips


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
    """Cut rows (B, T + 1) of a token file into inputs and labels; every document ends in EOS."""
    return finish(rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64), eos_id, corpus, replayed)


def finish(
    inputs: NDArray[np.int64], labels: NDArray[np.int64], eos_id: int,
    corpus: NDArray[np.int64], replayed: NDArray[np.bool_],
) -> Batch:  # fmt: skip
    """The batch of inputs and next tokens (B, T); `labels` is changed in place."""
    ends = inputs == eos_id
    labels[ends] = IGNORE
    return Batch(inputs, labels, positions(ends), corpus, replayed)


def positions(ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position within the document, (B, T); ends: (B, T), true at the last token of a document."""
    num_rows, length = ends.shape
    index = np.arange(length)
    starts = np.zeros((num_rows, length), dtype=np.int64)
    starts[:, 1:] = np.where(ends[:, :-1], index[1:], 0)
    return index - np.maximum.accumulate(starts, axis=1)
