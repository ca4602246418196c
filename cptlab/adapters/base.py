"""An adapter variant says which weights are trained beside a frozen base; applying it imports torch and peft.

All of them are special cases of W = W_base + f(A, B): LoRA adds a product of low rank, DoRA scales it per row,
QLoRA keeps W_base in 4 bits; `none` trains W itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class Machine(Protocol):
    """What an adapter asks of the machine."""

    strategy: str
    precision: str
    tensor_parallel: int
    offload: bool


@dataclass(kw_only=True)
class Adapter(ABC):
    """`apply` before the optimizer is built and before sharding; `merged` when weights are saved for others."""

    base_bytes = 4.0  # of a weight of the blocks, in fp32

    @abstractmethod
    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """The same object, adapted: base frozen, adapters trainable. Random weights come from torch's global seed."""

    def outline(self, model: PreTrainedModel) -> PreTrainedModel:
        """`apply` for a model whose weights are nowhere: what is trained has its shapes, its numbers mean nothing."""
        return self.apply(model)

    @property
    def trains_ends(self) -> bool:
        """Whether embeddings and head are trained, not only what stands beside layers."""
        return True

    @property
    def needs_weights(self) -> bool:
        """Whether `apply` looks at the base's weights; else they may be on the meta device, and come afterwards."""
        return False

    @abstractmethod
    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """A plain Hugging Face model with the same logits; `model` itself stays adapted. Whole parameters only."""

    @abstractmethod
    def check(self, machine: Machine) -> None:
        """UserError for a machine, or a missing library, with which this adapter cannot work."""

    def check_model(self, model: PreTrainedModel) -> None:  # noqa: B027 - none adapts nothing
        """UserError for an architecture that lacks what is adapted; its weights may be nowhere."""

    @abstractmethod
    def identity(self) -> dict:
        """Name and fields; {} without an adapter, so that run_ids from before there were any stay."""


def count_trainable(model: nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters, adapters included, tied ones once; a 4-bit weight counts as what it stands for."""
    trainable = total = 0
    for parameter in model.parameters():
        quantized = getattr(parameter, "quant_state", None)
        numel = quantized.shape.numel() if quantized is not None else parameter.numel()
        total += numel
        trainable += numel if parameter.requires_grad else 0
    return trainable, total


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint of an adapted model must hold: the base lies in its own file, and 4-bit weights do not load."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def load_trained_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put `trained_state` into a model to which the same adapter was applied. UserError if it is of another one."""
    expected = trained_state(model)
    if wrong := sorted(set(expected) ^ set(state)):
        raise UserError(
            f"the saved adapter {'lacks' if wrong[0] in expected else 'has no place for'} {wrong[0]}"
            f" ({len(wrong)} tensors differ); resume with the fields of adapter that it was trained with"
        )
    model.load_state_dict(dict(state), strict=False)
