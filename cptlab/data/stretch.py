"""Steps apportioned one after another, from a step on where the state of apportioning is known."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.mixtures.apportion import Apportioner
from cptlab.mixtures.token_true import TokenApportioner

Index = NDArray[np.int64]
Array = NDArray[np.float64]
CHUNK_STEPS = 512  # steps apportioned at a time, so that a long run starts as fast as a short one
PIECE_STEPS = 1 << 16  # steps whose shares are summed at a time
KEPT = 80  # marks whose state is kept: 32,768 rows, which are read at once, are 64 marks at one row a step
TIE = 1e-6  # [row] a target this near to half a row is not rounded without its history


class Shares:
    """(steps, num_sources) shares of every step; a part whose steps are all alike is kept as one."""

    def __init__(self, num_sources: int) -> None:
        self.parts: list[Array] = []
        self.ends = [0]  # steps up to the end of each part, 0 first
        self.num_sources = num_sources

    def __len__(self) -> int:
        return self.ends[-1]

    def extend(self, weights: Array) -> None:
        """Append steps (k, num_sources)."""
        if len(weights):
            same = (weights == weights[0]).all()
            self.parts.append(np.broadcast_to(weights[0].copy(), weights.shape) if same else weights)
            self.ends.append(len(self) + len(weights))

    def __getitem__(self, steps: slice) -> Array:
        cut = [
            part[max(steps.start - first, 0) : max(steps.stop - first, 0)]
            for part, first, end in zip(self.parts, self.ends[:-1], self.ends[1:], strict=True)
            if first < steps.stop and end > steps.start
        ]
        return cut[0] if len(cut) == 1 else np.concatenate([np.zeros((0, self.num_sources)), *cut])

    def summed(self, target: Array, start: int, end: int) -> Array:
        """(num_sources,) `target` and the shares of the steps from `start` on, added one after another."""
        for at in range(start, end, PIECE_STEPS):
            target = np.cumsum(np.vstack([target, self[at : min(at + PIECE_STEPS, end)]]), axis=0)[-1]
        return target


class Stretch:
    """totals: (num_sources,) rows given before `ready`; all steps from `start` to `ready` are apportioned."""

    def __init__(self, start: int, apportioner: Apportioner | TokenApportioner, totals: Index) -> None:
        self.start = self.ready = start
        self.apportioner, self.totals = apportioner, totals
        self.marks, self.marked = [start], [totals]
        self.states = deque([(start, copied(apportioner), totals)], maxlen=KEPT)

    def reach(self, step: int, rows: Index) -> None:
        """All steps before `step` are apportioned; they have `rows` (num_sources,) more."""
        self.ready, self.totals = step, self.totals + rows
        self.marks.append(step)
        self.marked.append(self.totals)
        self.states.append((step, copied(self.apportioner), self.totals))

    def before(self, step: int) -> tuple[int, Index]:
        """The last mark at or before `step`, and the rows of each source before it."""
        at = bisect_right(self.marks, step) - 1
        return self.marks[at], self.marked[at]

    def jump(self, step: int, shares: Shares, rows_per_step: int) -> Stretch | None:
        """A stretch that starts shortly before `step`; None where only the steps between here and there tell.

        Of two sources every prefix is rounded to the nearest row, whatever came before: the rows given follow from
        the sum of the shares alone, unless it lies half a row from the next.
        """
        if not isinstance(self.apportioner, Apportioner):
            return None
        window = len(self.apportioner.past)
        first = step - window - CHUNK_STEPS
        if first <= self.ready:
            return None
        target = shares.summed(self.apportioner.target, self.ready, first)
        ahead = shares[first : first + window + CHUNK_STEPS]
        if np.count_nonzero(target + ahead.sum(axis=0)) > 2:
            return None
        for at, weight in enumerate(ahead[:CHUNK_STEPS]):
            rows = target * rows_per_step
            given = np.rint(rows).astype(np.int64)
            if (abs(rows - given) < 0.5 - TIE).all() and given.sum() == (first + at) * rows_per_step:
                apportioner = Apportioner(len(target), rows_per_step)
                apportioner.target, apportioner.given = target, given.tolist()
                return Stretch(first + at, apportioner, given)
            target = target + weight
        return None

    def mark(self, step: int) -> dict[str, Any]:
        """The state at a mark not after `step`, plain JSON."""
        known = [state for state in self.states if state[0] <= step]
        if not known:
            raise ValueError(
                f"the state at step {step} is no longer known; that at {self.states[0][0]} is the earliest"
            )
        at, apportioner, totals = known[-1]
        state: dict[str, Any] = {"step": at, "rows": totals.tolist()}
        if isinstance(apportioner, Apportioner):
            return state | {"target": apportioner.target.tolist(), "past": [list(owed) for owed in apportioner.past]}
        return state | {"owed": list(apportioner.owed)}

    def from_mark(self, state: dict[str, Any], shares: Shares, rows_per_step: int) -> Stretch:
        """The stretch that begins at a mark. ValueError for one of another plan."""
        totals, step = np.array(state["rows"], dtype=np.int64), int(state["step"])
        apportioner = copied(self.apportioner)
        fits = totals.shape == (shares.num_sources,) and totals.sum() == step * rows_per_step and step <= len(shares)
        if isinstance(apportioner, Apportioner):
            target = np.array(state.get("target", []), dtype=np.float64)
            fits = fits and np.array_equal(target, shares.summed(np.zeros(shares.num_sources), 0, step))
            apportioner.target, apportioner.given = target, totals.tolist()
            apportioner.past.extend(list(owed) for owed in state.get("past", []))
        else:
            fits = fits and len(state.get("owed", [])) == shares.num_sources
            apportioner.owed = list(state.get("owed", []))
        if not fits:
            raise ValueError(f"the mark at step {step} is not of this plan: {shares.num_sources} sources, other shares")
        return Stretch(step, apportioner, totals)


def copied(apportioner: Apportioner | TokenApportioner) -> Apportioner | TokenApportioner:
    """One that goes on by itself: what it holds is replaced and never written to, but for the window."""
    twin = copy(apportioner)
    if isinstance(twin, Apportioner):
        twin.past = twin.past.copy()
    return twin
