"""What the stages before one have read: where each corpus goes on, and the rows that a buffer holds of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cptlab.data.draw import Draw
    from cptlab.data.stream import TokenStream

Index = NDArray[np.int64]
Located = tuple[Index, Index, Index]  # corpus, row, epoch, each (n,)
Locate = Callable[[Index], Located]


@dataclass(frozen=True, eq=False)
class Earlier:
    """stream: of the stage right before, planned to its end, with those before it as its own `earlier`.

    in_buffer: whether replay from a buffer draws from their rows too, or from those of the new stage alone.
    """

    stream: TokenStream
    in_buffer: bool = True

    @cached_property
    def rows(self) -> int:
        """Fresh rows of all stages before."""
        stream = self.stream
        return stream.fresh_before(stream.steps) + (stream.earlier.rows if stream.earlier else 0)

    @cached_property
    def steps(self) -> int:
        """Optimizer steps of all stages before."""
        return self.stream.steps + (self.stream.earlier.steps if self.stream.earlier else 0)

    @cached_property
    def _drawn(self) -> Index:
        return self.stream.table.drawn(self.stream.steps)

    def start(self, draw: Draw) -> int:
        """Running number at which a corpus goes on; 0 where an epoch has other rows now, or begins with easy ones."""
        before = self.stream.draws[draw.corpus]
        goes_on = before.size == draw.size and (draw.rows is None or draw.rows.buckets == 1)
        return before.start + int(self._drawn[draw.corpus]) if goes_on else 0

    def locate(self, index: Index) -> Located:
        """Numbers (n,) of fresh rows, counted from the first stage on -> corpus, row, epoch, each (n,)."""
        before = self.stream.earlier
        return split_locate(index, before.rows if before else 0, before.locate if before else None, self.stream.locate)


def split_locate(index: Index, first: int, before: Locate | None, own: Locate) -> Located:
    """What `own` says of the numbers from `first` on, counted from there, and `before` of those below."""
    if before is None or not first:
        return own(index)
    found = np.empty((3, len(index)), dtype=np.int64)
    mine = index >= first
    found[:, mine] = own(index[mine] - first)
    found[:, ~mine] = before(index[~mine])
    return found[0], found[1], found[2]
