"""`regularizer=si`: a weight is held the more, the more it lowered the loss on its way.

Synaptic intelligence (Zenke, Poole & Ganguli 2017, arXiv 1703.04200, eq. 3 to 5): along a run omega_i = -sum over steps
g_i * (change of theta_i), which adds up to the fall of the loss; at its end

    Omega_i += max(0, omega_i) / ((theta_i - theta*_i)^2 + damping)

(the clamp is the released code's), and the next run pays strength * sum_i Omega_i (theta_i - theta*_i)^2.
g is the gradient of the data's loss, before clipping and without the penalty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cptlab.regularizers.base import above_zero
from cptlab.regularizers.path import PathRegularizer
from cptlab.variants import variant

if TYPE_CHECKING:
    from torch import Tensor


@variant("regularizer", "si")
@dataclass(kw_only=True)
class SI(PathRegularizer):
    """Keeps where the run started, Omega of the runs before, and omega of this one."""

    strength: float = 0.1  # c of the paper, 0 or more; 0 only measures
    damping: float = 1e-3  # xi [squared weight], above 0

    kept: ClassVar[tuple[str, ...]] = ("anchor", "importance", "path")

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero("damping", self.damping)

    def seen(self, kept: Mapping[str, Tensor], gradient: Tensor) -> None:
        """Nothing."""

    def stepped(self, kept: Mapping[str, Tensor], gradient: Tensor, moved: Tensor, weight: Tensor, step: int) -> None:
        """omega -= g * change."""
        kept["path"].addcmul_(gradient, moved, value=-1)

    def finished(self, kept: Mapping[str, Tensor], weight: Tensor, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Omega with this run's share."""
        way = (weight - kept["anchor"]).square_().add_(self.damping)
        return {"importance": kept["importance"] + kept["path"].clamp(min=0) / way}
