"""`adapter=lora`: an update of low rank beside each weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.adapters.low_rank import LowRank
from cptlab.variants import variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@variant("adapter", "lora")
@dataclass(kw_only=True)
class LoRA(LowRank):
    """LoRA (Hu et al. 2022, arXiv 2106.09685) by peft.

    init: default (A Kaiming, B zero), gaussian, orthogonal, pissa (Meng et al. 2024, arXiv 2404.02948) and olora
    (Büyükakyüz 2024, arXiv 2406.01775). The last two move a part of each base weight into A and B before training:
    the sum is the base at first, the frozen part is not.
    """

    inits = ("default", "gaussian", "orthogonal", "pissa", "olora")

    @property
    def needs_weights(self) -> bool:
        """Where A and B are made of a part of the base."""
        return self.init in ("pissa", "olora")

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Base frozen, A and B trained."""
        self.target_names(model)
        return self.inject(model)
