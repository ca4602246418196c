"""`adapter=qlora`: LoRA on a base that is kept in 4 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

    extras = {"peft": "adapters", "bitsandbytes": "adapters"}

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

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Targets quantised and frozen, A and B trained."""
        for name in self.target_names(model):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, self.quantized(model.get_submodule(name)))  # type: ignore[arg-type]
        model.is_loaded_in_4bit = True  # by this peft knows that it must look for 4-bit layers
        return self.inject(model)

    def quantized(self, linear: nn.Linear) -> nn.Module:
        """A Linear4bit with the NF4 codes of `linear`; computes in the dtype of its input."""
        import bitsandbytes

        layer = bitsandbytes.nn.Linear4bit(
            linear.in_features, linear.out_features, bias=linear.bias is not None, quant_type="nf4",
            compress_statistics=self.double_quant, device="meta",  # type: ignore[arg-type]
        )  # fmt: skip
        layer.weight = bitsandbytes.nn.Params4bit(
            linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=self.double_quant
        ).to(linear.weight.device)  # moving is what quantises
        layer.bias = linear.bias
        return layer

    def merged_layer(self, layer: Any) -> nn.Module:
        """Dequantised base plus update: peft would round the sum to 4 bits again."""
        from bitsandbytes.functional import dequantize_4bit
        from torch import nn

        base = layer.get_base_layer()
        weight = dequantize_4bit(base.weight.data, base.weight.quant_state) + layer.get_delta_weight("default")
        linear = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        linear.weight = nn.Parameter(weight.detach())
        linear.bias = base.bias
        return linear
