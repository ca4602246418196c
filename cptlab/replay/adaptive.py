"""A share of replay that follows what is measured: the further the run drifts, the more it replays.

    share = minimum + (maximum - minimum) x / (1 + x),   x = drift / scale >= 0

`divergence`: drift = max(0, L_general - L_base) [nat/token], the rise of the general corpus's valid loss over the
loss before the first update. On text that the base itself would write this is KL(base || model) exactly, since
E_base[-log p_model] - E_base[-log p_base] is its definition; on real text it is the excess over the base.

`forgetting`: drift = L_general - (its least value so far, the base's included) >= 0 [nat/token], forgetting as it is
measured along a stream (now minus best past loss; Abbes et al. 2025, arXiv 2508.01908). Where CPT first lowers the
general loss below the base's, what is lost of that counts too; it is never less than the divergence.

`gradient_norm`: drift = g / g_0, the mean global norm of the gradients since the last decision over that of the first
interval. Then x / (1 + x) = g / (g + scale g_0), the balance of a gradient against its warm-up norm that SASR uses
between fine-tuning and reinforcement learning (Chen et al. 2025, arXiv 2505.13026); replay in its place is ours.

No drift gives `minimum`, more drift more replay, and never `maximum` itself. Between decisions the share is constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.replay.base import Array, Replay, check_share
from cptlab.variants import variant

SIGNALS = ("divergence", "forgetting", "gradient_norm")
OF_GENERAL = ("divergence", "forgetting")  # what the losses of the general corpus say


@dataclass(frozen=True)
class Drift:
    """What was measured at one decision. No state beside: the list of them, oldest first, is the state."""

    step: int  # optimizer steps done
    u: float  # progress, in (0, 1)
    general_loss: float | None  # valid loss of the general corpus [nat/token]; None = the study has none
    base_loss: float | None  # the same before the first update
    gradient_norm: float  # mean global L2 norm of the steps since the last decision, before clipping


@variant("replay", "adaptive")
@dataclass(kw_only=True)
class AdaptiveReplay(Replay):
    """The share is decided every `interval` of the run; each decision is in the record and is replayed from there."""

    learns: ClassVar[bool] = True

    minimum: float = 0.02  # share without drift, in [0, 1)
    maximum: float = 0.5  # share that a large drift tends to, in [minimum, 1)
    signal: str = "divergence"  # divergence, forgetting or gradient_norm
    scale: float = 0.05  # drift that gives the middle of the two: [nat/token], or a ratio of norms; above 0
    interval: float = 0.05  # share of the run between two decisions, in (0, 1]

    def __post_init__(self) -> None:
        check_share("replay.minimum", self.minimum)
        check_share("replay.maximum", self.maximum)
        if self.maximum < self.minimum:
            raise UserError(f"replay.maximum is {self.maximum}, below replay.minimum = {self.minimum}; exchange them")
        if self.signal not in SIGNALS:
            raise UserError(f"replay.signal is {self.signal}.{closest(self.signal, SIGNALS)}")
        if not self.scale > 0:
            raise UserError(f"replay.scale is {self.scale}; it must be above 0")
        if not 0 < self.interval <= 1:
            raise UserError(f"replay.interval is {self.interval}; it must lie in (0, 1]")

    def share(self, u: Array) -> Array:
        """The share before the first decision, everywhere: that of no divergence, or of the first gradients."""
        return np.full_like(u, self.of(0.0 if self.signal in OF_GENERAL else 1.0), dtype=np.float64)

    def bounds(self, u: Array) -> tuple[Array, Array]:
        """The share before the first decision until then; after it anything from `minimum` to `maximum`."""
        least, most = self.share(u), self.share(u)
        open_from = self.planned_at_start(len(u))
        least[open_from:], most[open_from:] = self.minimum, self.maximum
        return least, most

    def decide(self, history: Sequence[Drift]) -> float:
        """The share until the next decision, in [minimum, maximum), from all evidence so far, at least one."""
        first, last = history[0], history[-1]
        if self.signal in OF_GENERAL:
            if last.general_loss is None or last.base_loss is None:
                raise ValueError(f"{self.signal} cannot be measured without losses of a general corpus")
            past = [each.general_loss for each in history if each.general_loss is not None]
            best = last.base_loss if self.signal == "divergence" else min(last.base_loss, *past)
            return self.of(max(0.0, last.general_loss - best))
        return self.of(last.gradient_norm / first.gradient_norm if first.gradient_norm else 0.0)

    def check(self, general: str) -> None:
        """Divergence and forgetting are measured on the general corpus."""
        if self.signal in OF_GENERAL and not general:
            raise UserError(
                f"replay.signal={self.signal} measures the general corpus; name it with data.general, or use"
                " replay=adaptive_gradnorm"
            )

    def planned_at_start(self, steps: int) -> int:
        """Until the first decision."""
        return (self.decision_steps(steps) or [steps])[0]

    def decision_steps(self, steps: int) -> list[int]:
        """After which optimizer steps a decision is made: every `interval` of the run, not after the last one."""
        number = int(np.ceil(1 / self.interval - 1e-9))
        marks = {round(k * self.interval * steps) for k in range(1, number)}
        return sorted(mark for mark in marks if 0 < mark < steps)

    def of(self, drift: float) -> float:
        """The formula of this module."""
        x = drift / self.scale
        return self.minimum + (self.maximum - self.minimum) * x / (1 + x)
