"""Replay from a bounded sample of everything seen: each fresh row is in it with the same probability.

Algorithm R (Vitter 1985, "Random sampling with a reservoir"): fresh row i (from 0) draws a place in [0, i] and takes it
over if it lies below the capacity. The place is a pure function of (seed, i), so the content after any number of rows
is computed, not stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cptlab.errors import UserError
from cptlab.replay.base import BufferReplay, Rows
from cptlab.replay.draws import RESERVOIR, below, choose, raw_bits
from cptlab.variants import variant

BLOCK = 1 << 13  # rows whose places are drawn at once
LARGEST = 2**53  # rows; from there on a float, as 1e15 is read, no longer tells one number from the next


@variant("replay")
@dataclass(kw_only=True)
class Reservoir(BufferReplay):
    """`capacity` rows, a uniform sample without repeats of the fresh rows before the step."""

    capacity: float = 10_000  # [row] of data.sequence_length tokens, a whole number of 1 or more (1e15 is one)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.capacity < 1:
            raise UserError(f"replay.capacity is {self.capacity:g} rows; it must be 1 or more")
        if not (self.capacity <= LARGEST and self.capacity == int(self.capacity)):
            raise UserError(
                f"replay.capacity is {self.capacity:g} rows; it must be a whole number up to 2**53 (9e15), and beyond"
                " the rows of the run replay=buffer, which holds all of them, says the same"
            )
        self.capacity = int(self.capacity)  # as the record has it

    @property
    def slots(self) -> int:
        """`capacity`."""
        return int(self.capacity)

    def pick(self, seed: int, step: int, count: int, seen: int) -> Rows:
        """Uniform over the rows that the reservoir holds after `seen`."""
        slots = choose(seed, step, count, min(self.slots, seen))
        return history(seed, self.slots).held(slots, seen)

    def content(self, seed: int, seen: int) -> Rows:
        """All rows that it holds after `seen` fresh rows, by slot: (min(capacity, seen),)."""
        return history(seed, self.slots).held(np.arange(min(self.slots, seen)), seen)


class History:
    """Which row entered which slot: capacity * (1 + ln(rows / capacity)) entries.

    draw: (first, count) -> place of each row from `first` on, in [0, row]. What was drawn is kept, so that a step costs
    a look-up; the entries depend on nothing but `draw` and `capacity`.
    """

    def __init__(self, capacity: int, draw: Callable[[int, int], Rows]) -> None:
        self.capacity, self.draw = capacity, draw
        self.rows = self.slots = np.empty(0, np.int64)
        self.scanned = 0
        self.keys = self.rows  # slot * scanned + row, sorted

    def held(self, slots: Rows, seen: int) -> Rows:
        """The row in each slot after `seen` rows: the last that entered it. slots: (n,) below min(capacity, seen)."""
        if seen > self.scanned:
            self.scan(max(seen, 2 * self.scanned))
        last = np.searchsorted(self.keys, slots * self.scanned + seen) - 1
        return self.keys[last] - slots * self.scanned

    def scan(self, until: int) -> None:
        """Draw the places of all rows before `until` (rounded up to whole blocks)."""
        rows, slots = [self.rows], [self.slots]
        while self.scanned < until:
            row = np.arange(self.scanned, self.scanned + BLOCK)
            place = np.where(row < self.capacity, row, self.draw(self.scanned, BLOCK))
            rows.append(row[place < self.capacity])
            slots.append(place[place < self.capacity])
            self.scanned += BLOCK
        self.rows, self.slots = np.concatenate(rows), np.concatenate(slots)
        self.keys = np.sort(self.slots * self.scanned + self.rows)


@lru_cache(maxsize=4)
def history(seed: int, capacity: int) -> History:
    """The history of a seed's reservoir, kept for the next step."""

    def draw(first: int, count: int) -> Rows:
        return below(raw_bits(seed, RESERVOIR, first, count), np.arange(first, first + count) + 1)

    return History(capacity, draw)
