"""Linear decay from the end of the warm-up to a floor at the end of the run."""

from dataclasses import dataclass

from cptlab.schedules.base import Array, Schedule, below_peak
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Linear(Schedule):
    """LR/peak = 1 - (1 - floor) p, p: progress from the end of the warm-up to the end of the run."""

    floor: float = 0.0  # final LR over peak LR, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        below_peak("lr_schedule.floor", self.floor)

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """Straight line from 1 to `floor`."""
        progress = (tokens - self.warmup_tokens) / max(tokens_total - self.warmup_tokens, 1)
        return 1 - (1 - self.floor) * progress.clip(0, 1)
