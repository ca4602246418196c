"""Re-warming (Gupta et al. 2023, arXiv 2308.04014): up from where the base's LR ended, and down again."""

from dataclasses import dataclass, replace

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule, below_peak, progress
from cptlab.schedules.curves import check_curve, fall
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Rewarm(Schedule):
    """From `start` straight up to the peak over `warmup_tokens`, then along `decay` to `floor` at the end of the run.

    The height of the re-warm is `optimizer.peak_lr`, its length `warmup_tokens`. start: null is the final LR of the
    base over `optimizer.peak_lr`, from the base's record or from `model.lr_history`.
    """

    start: float | None = None  # LR before the first step over peak LR, in [0, 1]; null = where the base ended
    floor: float = 0.1  # final LR over peak LR, in [0, 1]
    decay: str = "cosine"  # cosine, linear, 1-sqrt, exponential, inverse_sqrt

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is not None:
            below_peak("lr_schedule.start", self.start)
        below_peak("lr_schedule.floor", self.floor)
        check_curve("lr_schedule.decay", self.decay, "lr_schedule.floor", self.floor)

    @property
    def is_constant(self) -> bool:
        """True if it re-warms and stays."""
        return self.floor == 1

    @property
    def first(self) -> float:
        """`start`. UserError while it is not known."""
        if self.start is None:
            raise UserError(
                "lr_schedule.start is null and no base with an LR history fills it; give lr_schedule.start, the LR"
                " before the first step over optimizer.peak_lr"
            )
        return self.start

    def after(self, final_lr: float | None, peak_lr: float, is_random: bool = False) -> Schedule:
        """With `start` filled. UserError where the base's LR is not known, or ended above the peak."""
        if self.start is not None:
            return self
        if is_random:
            raise UserError(
                "lr_schedule=rewarm starts where the LR of the base ended, and this run has no base: it starts from"
                " random weights; use another schedule (lr_schedule=wsd, cosine), name a base, or give"
                " lr_schedule.start, in [0, 1] of optimizer.peak_lr"
            )
        if final_lr is None:
            raise UserError(
                "lr_schedule=rewarm starts where the LR of the base ended, and this base has no LR history; declare it"
                " with model.lr_history (docs/schedules.md) or give lr_schedule.start, in [0, 1] of optimizer.peak_lr"
            )
        if final_lr > peak_lr:
            raise UserError(
                f"lr_schedule=rewarm: the LR of the base ended at {final_lr:g}, above optimizer.peak_lr={peak_lr:g};"
                " raise optimizer.peak_lr, or take lr_schedule=linear, cosine or infinite"
            )
        return replace(self, start=final_lr / peak_lr)

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """`decay` from the end of the re-warm to the end of the run."""
        return fall(self.decay, progress(tokens, self.warmup_tokens, tokens_total), self.floor)
