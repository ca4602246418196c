"""`regularizer=rwalk`: the Fisher information of the last steps and the gain along the path, together.

Riemannian walk (Chaudhry et al. 2018, arXiv 1801.10112). Along a run, for each weight:

    F <- decay g^2 + (1 - decay) F                                              every step (eq. 6)
    s += (-sum of g * change over a stretch) / (F (its change)^2 / 2 + damping)   every `every` steps (eq. 7)

At its end the score is the mean of that of the runs before and this one's, and the next run pays

    strength * sum_i (F_i / max F + max(0, s_i) / max s) (theta_i - theta*_i)^2   (eq. 8, both scaled to [0, 1])

Scaling, the clamp and the default constants are those of Avalanche's plugin. F starts at 0 where no run came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cptlab.errors import UserError
from cptlab.regularizers.base import above_zero
from cptlab.regularizers.path import PathRegularizer
from cptlab.variants import variant

if TYPE_CHECKING:
    from torch import Tensor


@variant("regularizer", "rwalk")
@dataclass(kw_only=True)
class RWalk(PathRegularizer):
    """Keeps six tensors a weight: anchor, importance, F, score, and gain and start of the current stretch."""

    strength: float = 0.1  # lambda, 0 or more; 0 only measures
    decay: float = 0.9  # weight of the newest squared gradient in F, in (0, 1]
    every: int = 10  # steps of a stretch, 1 or more
    damping: float = 1.2e-7  # in the denominator of the score, above 0

    kept: ClassVar[tuple[str, ...]] = ("anchor", "importance", "fisher", "score", "path", "mark")

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero("damping", self.damping)
        if not 0 < self.decay <= 1:
            raise UserError(f"regularizer.decay is {self.decay}; it must lie in (0, 1]")
        if self.every < 1:
            raise UserError(f"regularizer.every is {self.every} steps; it must be 1 or more")

    def seen(self, kept: Mapping[str, Tensor], gradient: Tensor) -> None:
        """F of the newest gradient."""
        kept["fisher"].mul_(1 - self.decay).addcmul_(gradient, gradient, value=self.decay)

    def stepped(self, kept: Mapping[str, Tensor], gradient: Tensor, moved: Tensor, weight: Tensor, step: int) -> None:
        """The gain of the step; at the end of a stretch the score of the stretch."""
        kept["path"].addcmul_(gradient, moved, value=-1)
        if step % self.every == 0:
            way = (weight - kept["mark"]).square_().mul_(kept["fisher"]).mul_(0.5).add_(self.damping)
            kept["score"].add_(kept["path"] / way)
            kept["path"].zero_()
            kept["mark"].copy_(weight)

    def finished(self, kept: Mapping[str, Tensor], weight: Tensor, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """F, and the score averaged with the one before."""
        score = (kept["score"] + before["score"]) / 2 if "score" in before else kept["score"]
        return {"fisher": kept["fisher"], "score": score}

    def scaled(self, left: Mapping[str, Tensor], largest: Mapping[str, float]) -> dict[str, Tensor]:
        """Omega: both on a scale from 0 to 1, where there is anything."""
        parts = [left[kind].clamp(min=0) / (max(largest[kind], 0.0) or 1.0) for kind in ("fisher", "score")]
        return dict(left) | {"importance": parts[0] + parts[1]}
