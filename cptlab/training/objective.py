"""What is minimised: a weighted sum over the tokens of a step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest
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

        Only the scalar has a gradient. scale_N is a token's weight over the weights of the whole step.
        """

    def token_weights(self, names: Sequence[str]) -> list[float] | None:
        """Weight of a token of each corpus, in the order of the names; None = 1. UserError for another corpus."""
        return None


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


@variant("objective")
@dataclass(kw_only=True)
class Weighted(CLM):
    """CLM with a weight for each token by its corpus: mean of w * loss over the sum of the weights of a step.

    A share says how often a corpus is read, a weight how much a token of it counts: twice the weight moves the gradient
    as twice the share would, without reading more of it.
    weights: {corpus: weight above 0}; a corpus that is not named has 1. Evaluated losses are not weighted.
    """

    weights: dict[str, float] = field(default_factory=dict)  # {corpus: weight of its tokens, > 0}; 1 where not named

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, weight in self.weights.items():
            if not 0 < weight < math.inf:
                raise UserError(
                    f"objective.weights.{name} is {weight:g}; it must be above 0 (share 0 leaves a corpus out)"
                )

    def token_weights(self, names: Sequence[str]) -> list[float] | None:
        """As given."""
        if not self.weights:
            raise UserError("objective.weights is empty; give it, e.g. objective.weights={code: 2}, or objective=clm")
        if unknown := sorted(set(self.weights) - set(names)):
            raise UserError(
                f"objective.weights names {unknown[0]}, which is none of the corpora.{closest(unknown[0], list(names))}"
            )
        return [self.weights.get(name, 1.0) for name in names]
