"""Cosine decay from the end of the warm-up to a floor at the end of the run (Loshchilov & Hutter 2017)."""

from dataclasses import dataclass

import numpy as np

from cptlab.schedules.base import Array, Schedule, below_peak
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Cosine(Schedule):
    """LR/peak = floor + (1 - floor)(1 + cos(pi p))/2, p: progress from the end of the warm-up."""

    floor: float = 0.1  # final LR over peak LR, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        below_peak("lr_schedule.floor", self.floor)

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """Half a cosine from 1 to `floor`."""
        progress = (tokens - self.warmup_tokens) / max(tokens_total - self.warmup_tokens, 1)
        return self.floor + (1 - self.floor) * 0.5 * (1 + np.cos(np.pi * progress.clip(0, 1)))
