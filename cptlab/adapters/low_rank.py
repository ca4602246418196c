"""What LoRA, DoRA and QLoRA share: fields, targets, injection by peft, merging."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

from cptlab.adapters.base import Adapter, Machine
from cptlab.errors import UserError, closest, require

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"


@dataclass(kw_only=True)
class LowRank(Adapter):
    """W x + alpha/rank B A x, with A (rank, in) and B (out, rank) on the `targets`."""

    rank: int = 16  # r, 1 or more
    alpha: float = 32.0  # scale of the update: alpha / rank, or alpha / sqrt(rank) with rs_lora; above 0
    dropout: float = 0.0  # on the adapters' input, in [0, 1)
    targets: list[str] = field(
        default_factory=lambda: [ALL_LINEAR]
    )  # names of linear layers; all-linear = but the head
    rs_lora: bool = False  # scale by the root of the rank (Kalajdzievski 2023, arXiv 2312.03732)
    init: str = "default"  # of A and B, one of the variant's `inits`
    train_embeddings: bool = False  # input embeddings and head are trained too, as new tokens need

    inits = ("default", "gaussian")
    packages = ("peft",)

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if not getattr(self, name) > 0:
                raise UserError(f"adapter.{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.dropout < 1:
            raise UserError(f"adapter.dropout is {self.dropout}; it must lie in [0, 1)")
        if self.init not in self.inits:
            raise UserError(f"adapter.init is {self.init}.{closest(self.init, self.inits)}")
        if not self.targets:
            raise UserError("adapter.targets is empty; name linear layers, or all-linear")

    @property
    def trains_ends(self) -> bool:
        """As chosen."""
        return self.train_embeddings

    def check(self, machine: Machine) -> None:
        """The library is there, and the layers keep the names that a tensor-parallel plan looks for."""
        name = self.variant_name  # type: ignore[attr-defined]
        if machine.tensor_parallel > 1:
            raise UserError(
                f"adapter={name} does not go with machine.tensor_parallel={machine.tensor_parallel}, whose plan"
                " splits whole layers; use machine=fsdp"
            )
        if machine.precision == "fp8":
            raise UserError(
                f"adapter={name} does not go with machine.precision=fp8, which quantises layers again at every step;"
                " use machine.precision=bf16"
            )
        for package in self.packages:
            require(package, f"adapter={name}", "adapters")

    def check_model(self, model: PreTrainedModel) -> None:
        """Every target is the name of a linear layer."""
        self.target_names(model)

    def identity(self) -> dict:
        """Name and fields."""
        return {"variant": self.variant_name} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[attr-defined]

    def inject(self, model: PreTrainedModel, **options: Any) -> PreTrainedModel:
        """peft's layers put around the targets; everything else frozen, but for the embeddings if they are trained.

        A base on the meta device gets adapters with memory, the same numbers as beside a base with weights.
        """
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, use_rslora=self.rs_lora,  # type: ignore[arg-type]
            target_modules=ALL_LINEAR if ALL_LINEAR in self.targets else list(self.targets),
            init_lora_weights=True if self.init == "default" else self.init,  # type: ignore[arg-type]
            **options,
        )  # fmt: skip
        waiting = self._without_memory(model)
        inject_adapter_in_model(config, model)
        for name, weight in waiting.items():
            cast("Any", model.get_submodule(name)).base_layer.weight = weight.requires_grad_(False)
        if self.train_embeddings:
            for end in (model.get_input_embeddings(), model.get_output_embeddings()):
                if end is not None:
                    end.weight.requires_grad_(True)  # type: ignore[union-attr]
        return model

    def _without_memory(self, model: PreTrainedModel) -> dict[str, nn.Parameter]:
        """{target: its weight on the meta device}, in whose place one number now stands for all on the CPU.

        Else peft would move what it draws to the meta device, where it is lost.
        """
        import torch

        found = {}
        for name in self.target_names(model):
            layer = cast("nn.Linear", model.get_submodule(name))
            if layer.weight.is_meta:
                found[name] = layer.weight
                layer.weight = torch.nn.Parameter(torch.zeros(1, 1).expand(layer.weight.shape), requires_grad=False)
        return found

    def target_names(self, model: PreTrainedModel) -> list[str]:
        """Full names of the linear layers that are adapted. UserError for a target that the model does not have."""
        from torch import nn

        head = model.get_output_embeddings()
        linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head]
        if ALL_LINEAR in self.targets:
            return linear
        known = {name.rpartition(".")[2] for name in linear}
        for target in self.targets:
            if target not in known:
                raise UserError(f"adapter.targets names {target}, no linear layer.{closest(target, known)}")
        return [name for name in linear if name.rpartition(".")[2] in self.targets]

    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """W_base + update in every target, in a copy of the model."""
        from peft.tuners.lora import LoraLayer

        plain = copy.deepcopy(model)
        for name, layer in list(plain.named_modules()):
            if isinstance(layer, LoraLayer):
                parent, _, child = name.rpartition(".")
                setattr(plain.get_submodule(parent), child, self.merged_layer(layer))
        for parameter in plain.parameters():
            parameter.requires_grad_(True)
        plain._hf_peft_config_loaded = False
        return plain

    def merged_layer(self, layer: Any) -> nn.Module:
        """One plain linear layer of an adapted one, which may be changed."""
        layer.merge(safe_merge=True)
        return layer.get_base_layer()
