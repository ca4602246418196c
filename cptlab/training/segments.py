"""A run whose mixture or replay learns is planned a segment at a time: up to the next decision of either."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cptlab.data.stream import TokenStream

Rule = Callable[[NDArray], NDArray]  # u (k,) -> weights (k, num_corpora) or replay share (k,)


class Segments:
    """Extends the stream as soon as all that must be decided first is decided, in whichever order it comes.

    marks: {"mixture": steps after which it decides, "replay": the same}, none for what does not learn.
    rules: what each of the two follows until its first decision.
    """

    def __init__(self, stream: TokenStream, marks: Mapping[str, Sequence[int]], rules: Mapping[str, Rule]) -> None:
        self.stream = stream
        self.pending = {side: list(marks.get(side, ())) for side in rules}
        self.rules = {side: {0: rule} for side, rule in rules.items()}

    def next_mark(self, side: str) -> int | None:
        """The step after which that side decides next."""
        return self.pending[side][0] if self.pending[side] else None

    def decided(self, side: str, step: int, rule: Rule) -> None:
        """Take the decision that was due after `step`, and plan as far as it allows."""
        if self.next_mark(side) != step:
            raise ValueError(f"{side} decided after step {step}; {self.next_mark(side)} was due")
        self.pending[side].pop(0)
        self.rules[side][step] = rule
        self.plan()

    def plan(self) -> None:
        """Extend the stream up to the first decision that is still due."""
        end = min([marks[0] for marks in self.pending.values() if marks] + [self.stream.steps])
        while (start := self.stream.planned_steps) < end:
            # Decisions of one side may be known beyond one of the other: a segment ends where any rule changes.
            stop = min([step for rules in self.rules.values() for step in rules if step > start] + [end])
            u = (np.arange(start, stop) + 1.0) / self.stream.steps
            weights, share = (self._at(side, start)(u) for side in ("mixture", "replay"))
            self.stream.extend(weights, share)

    def _at(self, side: str, step: int) -> Rule:
        return self.rules[side][max(mark for mark in self.rules[side] if mark <= step)]
