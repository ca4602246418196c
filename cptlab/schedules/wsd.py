"""Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): peak LR between warm-up and a final decay."""

from dataclasses import dataclass

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, share_in_unit_interval
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class WSD(Schedule):
    """Peak LR until the last `decay_share` of the tokens, then linear to `floor`."""

    decay_share: float = 0.2  # share of all tokens spent decaying, in [0, 1]
    floor: float = 0.0  # final LR over peak LR, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        share_in_unit_interval("lr_schedule.decay_share", self.decay_share)
        share_in_unit_interval("lr_schedule.floor", self.floor)

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
        """1, then a straight line to `floor` over the last `decay_share` of the tokens."""
        decay_tokens = max(self.decay_share * tokens_total, 1e-9)
        progress = (tokens - (tokens_total - decay_tokens)) / decay_tokens
        return 1 - (1 - self.floor) * progress.clip(0, 1)
