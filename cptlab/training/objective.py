"""What is minimised: a sum over tokens and the number of tokens that it counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Objective(ABC):
    """A pure function of logits and labels."""

    @abstractmethod
    def loss(self, logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
        """Scalar to minimise, [nat/token] plus regularisation."""


@variant("objective")
@dataclass(kw_only=True)
class CLM(Objective):
    """Causal language modelling: mean cross-entropy of the next token, with an optional z-loss.

    z_loss: weight of mean log^2 Z (Chowdhery et al. 2022, arXiv 2204.02311, sec. 5), 0 or more.
    """

    z_loss: float = 0.0

    def __post_init__(self) -> None:
        if self.z_loss < 0:
            raise UserError(f"objective.z_loss is {self.z_loss}; it must be 0 or more")

    def loss(self, logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
        """Mean over the labels that are not ignored, in fp32."""
        from torch.nn.functional import cross_entropy

        logits = logits_BTV.float()
        loss = cross_entropy(logits.flatten(0, 1), labels_BT.flatten())
        if self.z_loss:
            loss = loss + self.z_loss * (logits.logsumexp(-1)[labels_BT >= 0] ** 2).mean()
        return loss


def token_losses(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Cross-entropy of every token in fp32, 0 where the label is ignored: (B, T) [nat]."""
    from torch.nn.functional import cross_entropy

    flat = cross_entropy(logits_BTV.float().flatten(0, 1), labels_BT.flatten(), reduction="none")
    return flat.view_as(labels_BT)
