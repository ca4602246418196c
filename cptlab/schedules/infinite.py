"""Infinite schedule (Ibrahim et al. 2024, arXiv 2403.08763): no length is fixed until the last anneal."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, below_peak, parts_fit, progress, share_in_unit_interval, zero_or_more
from cptlab.schedules.curves import check_curve, fall
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Infinite(Schedule):
    """Warm-up to the peak, cooldown to `constant`, that LR for as long as wanted, an anneal to `floor` at the end.

    Warm-up and cooldown are given in tokens, so that runs of any length agree up to their anneal: a run may branch
    from a checkpoint in the constant part of another (`branch.run`), with its own anneal or without one.
    """

    cooldown_tokens: float = 0.0  # [token] from the peak to the constant part, >= 0
    constant: float = 0.55  # LR of the constant part over peak LR, in (0, 1]
    anneal_share: float = 0.1  # share of all tokens in the final anneal, in [0, 1]; 0 = a trunk
    floor: float = 0.1  # final LR over peak LR, in [0, constant]
    cooldown: str = "cosine"  # cosine, inverse_sqrt, linear, 1-sqrt, exponential
    anneal: str = "exponential"  # exponential, linear, 1-sqrt, cosine, inverse_sqrt

    end: ClassVar = "anneal_share"

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("lr_schedule.cooldown_tokens", self.cooldown_tokens)
        below_peak("lr_schedule.constant", self.constant)
        share_in_unit_interval("lr_schedule.anneal_share", self.anneal_share)
        below_peak("lr_schedule.floor", self.floor)
        if self.constant == 0 or self.floor > self.constant:
            raise UserError(
                f"lr_schedule.constant is {self.constant:g} and floor {self.floor:g}; constant must be above 0 and"
                " floor at most constant"
            )
        check_curve("lr_schedule.cooldown", self.cooldown, "lr_schedule.constant", self.constant)
        check_curve("lr_schedule.anneal", self.anneal, "lr_schedule.floor", self.floor)

    @property
    def is_constant(self) -> bool:
        """True if the constant part is at the peak and there is no anneal."""
        return self.constant == 1 and (self.anneal_share == 0 or self.floor == 1)

    def check(self, tokens_total: float) -> None:
        """UserError if warm-up, cooldown and anneal are longer than the run."""
        super().check(tokens_total)
        parts_fit(
            tokens_total, warmup_tokens=self.warmup_tokens, cooldown_tokens=self.cooldown_tokens,
            anneal_tokens=self.anneal_share * tokens_total,
        )  # fmt: skip

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """Cooldown, constant, anneal."""
        flat = self.warmup_tokens + self.cooldown_tokens
        cooled = fall(self.cooldown, progress(tokens, self.warmup_tokens, flat), self.constant)
        if self.cooldown_tokens == 0:  # a step down, the warm-up's peak itself left in
            cooled = np.where((tokens <= flat) & (flat > 0), 1.0, self.constant)
        if self.anneal_share == 0:
            return cooled
        annealed = progress(tokens, (1 - self.anneal_share) * tokens_total, tokens_total)
        return np.where(annealed > 0, self.constant * fall(self.anneal, annealed, self.floor / self.constant), cooled)
