"""A schedule is a pure function of tokens: LR over peak LR. The peak LR belongs to the optimizer."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Schedule(ABC):
    """Warm-up is given in tokens, so that a longer run has the same warm-up."""

    warmup_tokens: float = 0.0  # [token] linear rise from 0 to the peak, >= 0

    def __post_init__(self) -> None:
        if self.warmup_tokens < 0:
            raise UserError(f"lr_schedule.warmup_tokens is {self.warmup_tokens}; it must be 0 or more tokens")

    @abstractmethod
    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """LR over peak LR without the warm-up. Same shape as `tokens`, in [0, 1]."""

    @property
    def is_constant(self) -> bool:
        """True if the LR stays at its peak after the warm-up, so that every row along a run is comparable."""
        return False

    def factor(self, tokens: Array, tokens_total: float) -> Array:
        """LR over peak LR after `tokens` of `tokens_total`. Same shape as `tokens`, in [0, 1]."""
        self.check(tokens_total)
        tokens = np.asarray(tokens, dtype=np.float64)
        after = self.shape(tokens, tokens_total)
        if self.warmup_tokens == 0:
            return after
        return np.where(tokens < self.warmup_tokens, np.minimum(tokens, self.warmup_tokens) / self.warmup_tokens, after)

    def check(self, tokens_total: float) -> None:
        """UserError if this schedule does not fit into a run of `tokens_total` tokens."""
        if self.warmup_tokens > tokens_total:
            raise UserError(
                f"lr_schedule.warmup_tokens is {self.warmup_tokens:g} but the run has only tokens={tokens_total:g};"
                " shorten the warm-up or lengthen the run"
            )


def share_in_unit_interval(name: str, value: float) -> None:
    """UserError unless value lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value}; it must lie in [0, 1]")
