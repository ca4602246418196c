"""A schedule is a pure function of tokens: LR over peak LR. The peak LR belongs to the optimizer.

Linear warm-up, any decay, restarts, re-warming and a drawn curve differ in `shape` alone (and in where the warm-up
starts); a step knows nothing but its own clock, so a run that goes on, or branches off another, has no state to keep.
"""

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Schedule(ABC):
    """Warm-up is given in tokens, so that a longer run has the same warm-up."""

    warmup_tokens: float = 0.0  # [token] linear rise to the peak, >= 0

    later: ClassVar[tuple[str, ...]] = ()  # fields that came after the first records, which lack them
    end: ClassVar[str] = ""  # field of the final decay; with 0 there it is the trunk that runs of every length share

    def __post_init__(self) -> None:
        zero_or_more("lr_schedule.warmup_tokens", self.warmup_tokens)

    @abstractmethod
    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """LR over peak LR without the warm-up. Same shape as `tokens`, in [0, 1]."""

    @property
    def is_constant(self) -> bool:
        """True if the LR stays at its peak after the warm-up, so that every row along a run is comparable."""
        return False

    @property
    def first(self) -> float:
        """LR over peak LR where the warm-up starts, in [0, 1]."""
        return 0.0

    def factor(self, tokens: Array, tokens_total: float) -> Array:
        """LR over peak LR after `tokens` of `tokens_total`. Same shape as `tokens`, in [0, 1]."""
        self.check(tokens_total)
        tokens = np.asarray(tokens, dtype=np.float64)
        after = self.shape(tokens, tokens_total)
        if self.warmup_tokens == 0:
            return after
        rise = np.minimum(tokens, self.warmup_tokens) / self.warmup_tokens
        return np.where(tokens < self.warmup_tokens, self.first + (1 - self.first) * rise, after)

    def check(self, tokens_total: float) -> None:
        """UserError if this schedule does not fit into a run of `tokens_total` tokens."""
        if self.warmup_tokens > tokens_total:
            raise UserError(
                f"lr_schedule.warmup_tokens is {self.warmup_tokens:g} but the run has only tokens={tokens_total:g};"
                " shorten the warm-up or lengthen the run"
            )

    def check_step(self, tokens_per_step: int, tokens_total: int) -> None:  # noqa: B027 - most need no step
        """UserError if a part of this schedule is shorter than a step, so that no step has its LR."""

    def shared_steps(self, tokens_per_step: int, tokens_total: int) -> int:
        """Steps before the final decay, whose LR a longer run has too; without `end` in the schedule none."""
        if not self.end:
            return 0
        clock = np.arange(1, tokens_total // tokens_per_step + 1, dtype=np.float64) * tokens_per_step
        endless = replace(self, **{self.end: 0.0})
        apart = np.flatnonzero(self.factor(clock, tokens_total) != endless.factor(clock, tokens_total))
        return int(apart[0]) if len(apart) else len(clock)

    def after(self, final_lr: float | None, peak_lr: float, is_random: bool = False) -> "Schedule":
        """This schedule in a run from a base whose LR ended at `final_lr` (None: not known), with this peak.

        is_random: the run starts from random weights.
        """
        return self

    def identity(self) -> dict[str, Any]:
        """Name and fields that build the same schedule anywhere; a `later` field only where it is not the usual."""
        usual = {f.name: f.default for f in fields(self) if f.name in self.later and f.default is not MISSING}
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        kept = {name: value for name, value in values.items() if name not in usual or value != usual[name]}
        return {"variant": self.variant_name} | kept  # type: ignore[attr-defined]


def progress(tokens: Array, start: float, end: float) -> Array:
    """Share of the way from `start` to `end` tokens, in [0, 1]; a way of no length is done once it has begun."""
    return np.clip((tokens - start) / max(end - start, 1e-9), 0.0, 1.0)


def share_in_unit_interval(name: str, value: float) -> None:
    """UserError unless value lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value}; it must lie in [0, 1]")


def below_peak(name: str, value: float) -> None:
    """UserError unless value, an LR over the peak LR, lies in [0, 1]."""
    if not 0 <= value <= 1:
        above = ", and above 1 it is above the peak" if value > 1 else ""
        raise UserError(f"{name} is {value}; as an LR over the peak LR it must lie in [0, 1]{above}")


def zero_or_more(name: str, value: float) -> None:
    """UserError unless value is 0 or more and finite."""
    if not 0 <= value < np.inf:
        raise UserError(f"{name} is {value}; it must be 0 or more tokens")


def parts_fit(tokens_total: float, **parts: float) -> None:
    """UserError if the named parts of a run [token] together are longer than it is."""
    if sum(parts.values()) > tokens_total * (1 + 1e-9):
        named = ", ".join(f"{name.replace('_tokens', '')} {value:.4g}" for name, value in parts.items() if value)
        raise UserError(
            f"lr_schedule: {named} tokens overlap in a run of tokens={tokens_total:g}; shorten them or lengthen the run"
        )
