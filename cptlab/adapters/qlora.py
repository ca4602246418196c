"""`adapter=qlora`: LoRA on a base that is kept in 4 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cptlab.adapters.base import Machine
from cptlab.adapters.low_rank import LowRank
from cptlab.errors import UserError
from cptlab.variants import variant

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@variant("adapter", "qlora")
@dataclass(kw_only=True)
class QLoRA(LowRank):
    """QLoRA (Dettmers et al. 2023, arXiv 2305.14314): targets in NF4 by bitsandbytes, LoRA by peft.

    Quantised where the model lies when it is applied, on a CPU too; embeddings, head and norms stay as they are.
    The merged model is the dequantised base plus the update, so that it computes what was trained.
    """

    double_quant: bool = True  # the scales of the blocks are quantised too, .4 bits a weight less

    packages = ("peft", "bitsandbytes")

    base_bytes = 4.5 / 8  # 4 bits and an fp32 scale for every 64, which quantised scales lower to 4.13 bits

    def check(self, machine: Machine) -> None:
        """bitsandbytes' weights are no DTensors, and stay on their device."""
        if machine.strategy in ("fsdp", "hsdp"):
            raise UserError(
                f"adapter=qlora cannot shard its 4-bit base (machine.strategy={machine.strategy}); use adapter=lora"
                " there, or machine.strategy=ddp"
            )
        if machine.offload:
            raise UserError("adapter=qlora does not go with machine.offload=true; use adapter=lora with it")
        super().check(machine)

    @property
    def needs_weights(self) -> bool:
        """They are quantised."""
        return True

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Targets quantised and frozen, A and B trained."""
        from cptlab.adapters.layers.nf4 import NF4Linear

        for name in self.target_names(model):
            parent, _, child = name.rpartition(".")
            linear = cast("nn.Linear", model.get_submodule(name))
            setattr(model.get_submodule(parent), child, NF4Linear.of(linear, self.double_quant))
        model.is_loaded_in_4bit = True  # type: ignore[assignment] # by this peft knows that it must look for 4-bit layers
        return self.inject(model)

    def outline(self, model: PreTrainedModel) -> PreTrainedModel:
        """A and B around targets that nobody quantises."""
        return self.inject(model)

    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """Dequantised base plus update, in a copy of the model."""
        plain = super().merged(model)
        plain.is_loaded_in_4bit = False  # type: ignore[assignment]
        return plain

    def merged_layer(self, layer: Any) -> nn.Module:
        """peft would round the sum to 4 bits again."""
        from torch import nn

        base = layer.get_base_layer()
        linear = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        linear.weight = nn.Parameter((base.dequantized() + layer.get_delta_weight("default")).detach())
        linear.bias = base.bias
        return linear
