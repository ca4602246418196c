"""`adapter=none`: every weight is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.adapters.base import Adapter, Machine
from cptlab.variants import variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@variant("adapter", "none")
@dataclass(kw_only=True)
class NoAdapter(Adapter):
    """Full training."""

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model as it is."""
        return model

    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model itself."""
        return model

    def check(self, machine: Machine) -> None:
        """Goes with every machine."""

    def identity(self) -> dict:
        """Nothing."""
        return {}
