"""`adapter=dora`: LoRA for the direction of each row of a weight, and a trained length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.adapters.low_rank import LowRank
from cptlab.variants import variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@variant("adapter", "dora")
@dataclass(kw_only=True)
class DoRA(LowRank):
    """W = m (W_base + s B A) / |W_base + s B A| per row (Liu et al. 2024, arXiv 2402.09353) by peft.

    The norm is no part of the gradient, as in the paper's section 4.3. Costs a norm of every weight at every step.
    """

    inits = ("default", "gaussian", "orthogonal")

    @property
    def needs_weights(self) -> bool:
        """The lengths of their rows are what m starts from."""
        return True

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Base frozen; A, B and m trained."""
        self.target_names(model)
        return self.inject(model, use_dora=True)
