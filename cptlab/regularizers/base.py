"""A regulariser keeps a run near its base: in its weights (quadratic penalties) or in what it predicts (KL).

Quadratic ones are all strength * sum_i Omega_i (theta_i - theta*_i)^2 around the weights theta* that a run starts from;
they differ in the importance Omega: 1 (`l2_to_base`), the Fisher information (`ewc`), what a weight gave to the loss
along the path of an earlier run (`si`), both (`rwalk`). They need no forward pass, and act on shards as on whole
weights. `kl_to_base` compares predictions. Nothing here imports torch: formulas are operators of tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Regularizer(ABC):
    """`kept` are the kinds of tensors, each as large as the trained weights, that live through the run."""

    kept: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def identity(self, weights: Path | None) -> dict:
        """What determines the numbers; {} without a regulariser, so that run_ids from before there were any stay.

        weights: folder of the base's weights, None for random ones.
        """

    def check(self, replay: Any, mixture: Any) -> None:  # noqa: B027 - most need nothing
        """UserError for a replay or mixture with which this regulariser cannot work."""

    def lacks_importance(self, weights: Path | None) -> bool:
        """Whether this regulariser reads what an earlier run has left, and nothing was left beside these weights."""
        return False

    def check_data(self, corpora: Sequence[str], general: str, weights: Path | None) -> None:  # noqa: B027
        """UserError where the data or the base lacks what this regulariser measures or reads."""


@dataclass(kw_only=True)
class Quadratic(Regularizer):
    """A penalty on the distance of each weight from where it started; its gradient is added before clipping."""

    strength: float = 0.1  # lambda, 0 or more
    offload: bool = False  # what is kept waits in CPU memory; slower, changes no number

    factor: ClassVar[float] = 1.0  # of strength * Omega * (theta - theta*) in the gradient

    def __post_init__(self) -> None:
        zero_or_more("strength", self.strength)

    def identity(self, weights: Path | None) -> dict:
        """Name and fields."""
        return described(self)

    def pull(self, weight: Tensor, anchor: Tensor, importance: Tensor | None = None) -> Tensor:
        """Gradient of the penalty, elementwise: weights, anchor and importance of one shape."""
        way = weight - anchor
        if importance is not None:
            way *= importance
        return way.mul_(self.factor * self.strength)


def described(variant: Any) -> dict:
    """Name and fields, but for those that change no number."""
    kept = {f.name: getattr(variant, f.name) for f in fields(variant) if f.name != "offload"}
    return {"variant": variant.variant_name} | kept


def zero_or_more(name: str, value: float) -> None:
    """UserError unless value >= 0."""
    if not value >= 0:
        raise UserError(f"regularizer.{name} is {value}; it must be 0 or more")


def above_zero(name: str, value: float) -> None:
    """UserError unless value > 0."""
    if not value > 0:
        raise UserError(f"regularizer.{name} is {value}; it must be above 0")


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """UserError unless value is known."""
    if value not in known:
        raise UserError(f"regularizer.{name} is {value}.{closest(value, known)}")
