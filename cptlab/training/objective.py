"""What is minimised: a weighted sum over the tokens of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(kw_only=True)
class Objective(ABC):
    """A pure function of the last hidden states, the head and the labels. N tokens, D wide."""

    @abstractmethod
    def loss(self, hidden_ND: Tensor, head: Module, labels_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
        """(scalar to minimise: sum of scale * what a token costs, losses (N,) [nat], 0 where the label is ignored).

        Only the scalar has a gradient. scale_N is a token's weight over the tokens of the whole step.
        """


@variant("objective")
@dataclass(kw_only=True)
class CLM(Objective):
    """Causal language modelling: mean cross-entropy of the next token, with an optional z-loss.

    z_loss: weight of mean log^2 Z (Chowdhery et al. 2022, arXiv 2204.02311, sec. 5), 0 or more.
    """

    z_loss: float = 0.0  # weight of mean log^2 Z, >= 0

    def __post_init__(self) -> None:
        if self.z_loss < 0:
            raise UserError(f"objective.z_loss is {self.z_loss}; it must be 0 or more")

    def loss(self, hidden_ND: Tensor, head: Module, labels_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
        """A chunk of tokens at a time where the head is one matrix, else from whole logits."""
        from torch.nn import Linear

        from cptlab.training.linear_loss import cross_entropy_of_logits, linear_cross_entropy

        if type(head) is Linear:
            return linear_cross_entropy(hidden_ND, head.weight, head.bias, labels_N, scale_N, self.z_loss)
        return cross_entropy_of_logits(head(hidden_ND), labels_N, scale_N, self.z_loss)
