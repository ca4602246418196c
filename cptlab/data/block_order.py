"""The order of training within a block of steps: worked out together, for one step alone costs nearly as much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.data.order import keys_of, permute

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream

Index = NDArray[np.int64]
Order = tuple[Index, Index, NDArray[np.bool_]]  # corpus, row, replayed of every row of a block of steps
BLOCK_ROWS = 32768  # rows whose order is worked out together


class BlockOrder:
    """Corpus, row and replay label of every row of a stream's steps, block by block; the last block is kept."""

    def __init__(self, stream: TokenStream) -> None:
        self.stream = stream
        self._kept: tuple[tuple[int, int], Order] | None = None

    def start(self, step: int) -> int:
        """The first step of the block that `step` lies in."""
        return step - step % self._steps

    def of(self, step: int, rows: slice) -> Order:
        """Of some rows of the global batch of `step`, in the order of training."""
        start = self.start(step)
        span = start, min(start + self._steps, self.stream.planned_steps)
        if self._kept is None or self._kept[0] != span:
            self._kept = span, self._ordered(*span)
        first = (step - start) * self.stream.rows_per_step
        own = slice(first + rows.start, first + rows.stop)
        corpus, row, replayed = self._kept[1]
        return corpus[own], row[own], replayed[own]

    @property
    def _steps(self) -> int:
        return max(1, BLOCK_ROWS // self.stream.rows_per_step)

    def _ordered(self, start: int, end: int) -> Order:
        stream, draws = self.stream, self.stream.draws
        corpus, replayed = stream.table.groups(start, end)
        row = np.empty(len(corpus), dtype=np.int64)
        first, last = stream.table.drawn(start), stream.table.drawn(end)
        for i, draw in enumerate(draws):
            row[corpus == i] = draw.at(np.arange(first[i], last[i]))[0]
        here = np.flatnonzero(corpus == len(draws))
        if here.size:
            picked = np.concatenate(stream.picks(start, end))
            corpus[here], row[here], _ = stream.locate_seen(picked)
        steps, rows = np.arange(start, end), stream.rows_per_step
        slots = np.broadcast_to(np.arange(rows), (len(steps), rows))
        keys = np.broadcast_to(keys_of(stream.seed, 1, last=steps + stream.first_step)[:, None], slots.shape)
        place = (permute(slots, rows, keys) + (steps - start)[:, None] * rows).ravel()
        return corpus[place], row[place], replayed[place]
