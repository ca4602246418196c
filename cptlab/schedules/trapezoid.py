"""Trapezoid (Zhai et al. 2022, arXiv 2106.04560): as WSD, but rise and fall are given in tokens."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.schedules.base import Array, Schedule, below_peak, parts_fit, progress, zero_or_more
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Trapezoid(Schedule):
    """Peak LR until `decay_tokens` before the end, then straight to `floor`: a longer run has the same sides."""

    decay_tokens: float = 0.0  # [token] of the final decay, >= 0
    floor: float = 0.0  # final LR over peak LR, in [0, 1]

    end: ClassVar = "decay_tokens"

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("lr_schedule.decay_tokens", self.decay_tokens)
        below_peak("lr_schedule.floor", self.floor)

    @property
    def is_constant(self) -> bool:
        """True without a decay."""
        return self.decay_tokens == 0 or self.floor == 1

    def check(self, tokens_total: float) -> None:
        """UserError if the sides are longer than the run."""
        super().check(tokens_total)
        parts_fit(tokens_total, warmup_tokens=self.warmup_tokens, decay_tokens=self.decay_tokens)

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """1, then a straight line to `floor`."""
        if self.decay_tokens == 0:
            return np.ones_like(tokens)
        return 1 - (1 - self.floor) * progress(tokens, tokens_total - self.decay_tokens, tokens_total)
