"""Cosine with warm restarts, SGDR (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, below_peak
from cptlab.schedules.curves import cosine
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class CosineRestarts(Schedule):
    """`cycles` half cosines from the peak to `floor`, each `growth` times as long as the one before.

    They fill the run after the warm-up and end at whole tokens; where one ends the LR is its `floor`, the restart
    comes right after.
    """

    cycles: int = 4  # 1 or more; 1 is lr_schedule=cosine
    growth: float = 1.0  # length of a cycle over the one before (T_mult of the paper), above 0
    floor: float = 0.0  # LR at the end of each cycle over peak LR, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cycles < 1 or not 0 < self.growth < np.inf:
            raise UserError(
                f"lr_schedule.cycles is {self.cycles} and growth {self.growth:g}; cycles must be 1 or more,"
                " growth above 0"
            )
        below_peak("lr_schedule.floor", self.floor)

    def check(self, tokens_total: float) -> None:
        """UserError if a cycle has no token."""
        super().check(tokens_total)
        if np.any(np.diff(self.ends(tokens_total)) <= 0):
            raise UserError(
                f"lr_schedule.cycles={self.cycles} with growth={self.growth:g} do not fit into"
                f" {tokens_total - self.warmup_tokens:g} tokens after the warm-up; take fewer or lengthen the run"
            )

    def check_step(self, tokens_per_step: int, tokens_total: int) -> None:
        """UserError if a cycle is shorter than a step: the LR of a step would say nothing of the cycle."""
        shortest = np.diff(self.ends(tokens_total)).min()
        if shortest < tokens_per_step:
            raise UserError(
                f"lr_schedule.cycles={self.cycles} with growth={self.growth:g} makes a cycle of {shortest:g} tokens,"
                f" shorter than one step of {tokens_per_step}; take fewer cycles or lengthen the run"
            )

    def ends(self, tokens_total: float) -> Array:
        """Tokens at which the warm-up and each cycle end, (cycles + 1,)."""
        length = np.cumsum(self.growth ** np.arange(self.cycles, dtype=np.float64))
        inner = np.round(self.warmup_tokens + (tokens_total - self.warmup_tokens) * length[:-1] / length[-1])
        return np.concatenate([[self.warmup_tokens], inner, [tokens_total]])

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """Half a cosine a cycle."""
        ends = self.ends(tokens_total)
        cycle = np.clip(np.searchsorted(ends, tokens, side="left") - 1, 0, self.cycles - 1)
        done = (tokens - ends[cycle]) / (ends[cycle + 1] - ends[cycle])
        return cosine(np.clip(done, 0, 1), self.floor)
