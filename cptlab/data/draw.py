"""Which row of a corpus comes when: a running number of the corpus -> row and epoch, a pure function."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cptlab.data.order import key_of, keys_of, permute
from cptlab.mixtures.base import RowSet

Index = NDArray[np.int64]
ROWS_OF_A_KEY = 256  # from here on a key for many rows is worth a pass of its own
SUBSET_KEY = key_of(0x5B5E7)  # a subset is the same rows in every run, whatever its seed


@dataclass(frozen=True, eq=False)
class Draw:
    """Every epoch passes over the same rows in a fresh keyed order, bucket by bucket where there are buckets.

    corpus: index of the corpus in the stream. total: its rows. rows: those of one epoch; all where it is None.
    start: how many were drawn by the stages before.
    """

    seed: int
    corpus: int
    total: int
    rows: RowSet | None = None
    start: int = 0

    @property
    def size(self) -> int:
        """Rows of one epoch."""
        return self.total if self.rows is None else self.rows.count

    def at(self, running: Index) -> tuple[Index, Index]:
        """Running numbers (n,) -> row numbers (n,) in the corpus and epochs (n,), both from 0."""
        running = running + self.start
        epoch = running // self.size
        return self._among(self._shuffled(running - epoch * self.size, epoch)), epoch

    def _shuffled(self, place: Index, epoch: Index) -> Index:
        if not place.size:
            return place
        if self.rows is None or self.rows.buckets == 1:
            return self._by_epoch(place, epoch)
        edges = np.arange(self.rows.buckets + 1) * self.size // self.rows.buckets
        bucket = np.searchsorted(edges, place, side="right") - 1
        for b in np.unique(bucket):
            here = bucket == b
            keys = self._keys(epoch[here], self.corpus, int(b) + 1)
            place[here] = edges[b] + permute(place[here] - edges[b], int(edges[b + 1] - edges[b]), keys)
        return place

    def _by_epoch(self, place: Index, epoch: Index) -> Index:
        """An epoch at a time where they follow one another: one key for all is faster than one a row."""
        edges = np.flatnonzero(epoch[1:] != epoch[:-1]) + 1
        if not edges.size or len(edges) * ROWS_OF_A_KEY > len(epoch):
            return permute(place, self.size, self._keys(epoch, self.corpus))
        bounds = [0, *edges.tolist(), len(epoch)]
        for start, end in pairwise(bounds):
            part = slice(start, end)
            place[part] = permute(place[part], self.size, self._keys(epoch[part], self.corpus))
        return place

    def _keys(self, epoch: Index, *parts: int) -> int | NDArray[np.uint64]:
        first = int(epoch[0])
        if len(parts) > 1:  # a bucket has its own keys
            parts = (key_of(*parts),)
        if (epoch == first).all():  # the common case: one key, no array
            return key_of(self.seed, 2, *parts, first)
        return keys_of(self.seed, 2, *parts, last=epoch)

    def _among(self, place: Index) -> Index:
        if self.rows is None or (self.rows.rows is None and self.size == self.total):
            return place
        if self.rows.rows is None:
            return permute(place, self.total, SUBSET_KEY)
        return np.asarray(self.rows.rows[place], dtype=np.int64)
