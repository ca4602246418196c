"""Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): peak LR between warm-up and a final decay."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, below_peak
from cptlab.schedules.curves import check_curve, fall
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class WSD(Schedule):
    """Peak LR until the last `decay_share` of the tokens, then along `decay` to `floor`."""

    decay_share: float = 0.2  # share of all tokens spent decaying, in [0, 1]
    floor: float = 0.0  # final LR over peak LR, in [0, 1]; above 0 for an exponential decay
    decay: str = "linear"  # linear, 1-sqrt, exponential, cosine, inverse_sqrt

    later: ClassVar = ("decay",)
    end: ClassVar = "decay_share"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay_share <= 1:
            longer = ": the decay is longer than the run" if self.decay_share > 1 else ""
            raise UserError(f"lr_schedule.decay_share is {self.decay_share}; it must lie in [0, 1]{longer}")
        below_peak("lr_schedule.floor", self.floor)
        check_curve("lr_schedule.decay", self.decay, "lr_schedule.floor", self.floor)

    @property
    def is_constant(self) -> bool:
        """True without a decay."""
        return self.decay_share == 0 or self.floor == 1

    def check(self, tokens_total: float) -> None:
        """UserError if warm-up and decay together are longer than the run."""
        super().check(tokens_total)
        if self.warmup_tokens + self.decay_share * tokens_total > tokens_total:
            raise UserError(
                f"lr_schedule.warmup_tokens={self.warmup_tokens:g} and decay_share={self.decay_share:g} overlap in"
                f" a run of tokens={tokens_total:g}; shorten one of them"
            )

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """1, then `decay` to `floor` over the last `decay_share` of the tokens."""
        if self.decay_share == 0:
            return np.ones_like(tokens)
        decay_tokens = max(self.decay_share * tokens_total, 1e-9)
        return fall(self.decay, (tokens - (tokens_total - decay_tokens)) / decay_tokens, self.floor)
