"""The transformer blocks of a model: the unit of sharding, compiling and checkpointing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def blocks_of(model: PreTrainedModel) -> list[nn.Module]:
    """In order of depth. UserError where the model keeps them in no list of its depth."""
    from torch import nn

    depth = getattr(model.config, "num_hidden_layers", 0)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return list(module)
    raise UserError(
        f"model type {model.config.model_type} keeps its blocks in no list of its {depth} layers: use"
        " machine.strategy=ddp with machine.compile=none and machine.activation_checkpointing=none"
    )
