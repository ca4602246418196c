"""Inverse square root (Vaswani et al. 2017, arXiv 1706.03762): a decay that does not know the length of the run."""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, zero_or_more
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class InverseSqrt(Schedule):
    """LR/peak = sqrt(s / (s + t)), t: tokens since the warm-up, s: `timescale_tokens`.

    With s = the warm-up it is sqrt(warm-up / tokens), the paper's. After 3 s tokens the LR is half of its peak.
    """

    timescale_tokens: float = 0.0  # [token] s above; 0 = warmup_tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("lr_schedule.timescale_tokens", self.timescale_tokens)
        if self.timescale_tokens == 0 and self.warmup_tokens == 0:
            raise UserError(
                "lr_schedule.timescale_tokens is 0, which means the warm-up, and warmup_tokens is 0 too; give one of"
                " them"
            )

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """1 at the end of the warm-up, falling for ever."""
        scale = self.timescale_tokens or self.warmup_tokens
        return np.sqrt(scale / (scale + np.maximum(tokens - self.warmup_tokens, 0)))
