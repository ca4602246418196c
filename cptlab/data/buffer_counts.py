"""What Replay drew from the buffer of rows already seen: rows and tokens of each corpus, counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.data.rows import ConcatRows

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream

Index = NDArray[np.int64]
CHUNK_STEPS = 256  # steps whose rows are looked up together


class BufferCounts:
    """Sums before every CHUNK_STEPS-th step are kept; the steps after the last of them are counted when asked for."""

    def __init__(self, stream: TokenStream) -> None:
        self.stream = stream
        self.sums = [np.zeros((2, len(stream.names)), dtype=np.int64)]  # rows, tokens

    def before(self, step: int) -> Index:
        """(2, num_corpora) rows and tokens of each corpus that were drawn from the buffer before `step`."""
        if not self.stream.replay.from_buffer:
            return self.sums[0]
        while len(self.sums) <= step // CHUNK_STEPS:
            start = (len(self.sums) - 1) * CHUNK_STEPS
            self.sums.append(self.sums[-1] + self._of(start, start + CHUNK_STEPS).sum(axis=1))
        start = step - step % CHUNK_STEPS
        return self.sums[step // CHUNK_STEPS] + self._of(start, step).sum(axis=1)

    def rows(self, steps: int) -> Index:
        """(steps, num_corpora) rows of each corpus that the first steps draw from the buffer."""
        parts = [self._of(start, min(start + CHUNK_STEPS, steps))[0] for start in range(0, steps, CHUNK_STEPS)]
        return np.concatenate([np.zeros((0, len(self.stream.names)), dtype=np.int64), *parts])

    def _of(self, start: int, end: int) -> Index:
        """(2, end - start, num_corpora) rows and tokens of each of some steps."""
        stream, num = self.stream, len(self.stream.names)
        picks = stream.picks(start, end)
        counted = np.zeros((2, end - start, num), dtype=np.int64)
        if not any(map(len, picks)):
            return counted
        corpus, row, _ = stream.locate_seen(np.concatenate(picks))
        place = np.repeat(np.arange(end - start), [len(pick) for pick in picks]) * num + corpus
        fill = np.empty(len(row), dtype=np.int64)
        for i, source in enumerate(stream.rows):
            here = corpus == i
            fill[here] = stream.sequence_length if isinstance(source, ConcatRows) else source.fill(row[here])
        size = (end - start) * num
        counted[0] = np.bincount(place, minlength=size).reshape(-1, num)
        counted[1] = np.bincount(place, weights=fill, minlength=size).reshape(-1, num)
        return counted
