"""How far the weights of each block have moved from the base."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cptlab.training.parallel.blocks import blocks_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def parts_of(model: PreTrainedModel) -> dict[str, str]:
    """Parameter -> the part of the model that it belongs to: embeddings, block 0, block 1, ..., head, other."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = dict.fromkeys(names.values(), "other")
    modules = [(f"block {i}", block) for i, block in enumerate(blocks_of(model))]
    modules += [
        ("head", model.get_output_embeddings()),
        ("embeddings", model.get_input_embeddings()),
    ]  # a tied one last
    for part, module in modules:
        for parameter in module.parameters() if module is not None else ():
            found[names[id(parameter)]] = part
    return found


class BaseWeights:
    """The base's weights in the host memory of the process that writes, from the first measurement on."""

    def __init__(self, build: Callable[[], PreTrainedModel], writes: bool) -> None:
        """build: the base, whole, on the CPU: built anew, for an attempt that goes on holds moved weights already."""
        self.build, self.writes = build, writes
        self.weights: dict[str, Tensor] | None = None

    @torch.no_grad()
    def drift(self, model: PreTrainedModel) -> dict[str, dict[str, float]]:
        """part -> {change_sq, base_sq, numel}: sums of squares of W - W_base and of W_base; {} if nothing is written.

        Every process calls: shards are gathered a tensor at a time.
        """
        if self.writes and self.weights is None:
            with torch.random.fork_rng(devices=[]):
                self.weights = {name: parameter.detach() for name, parameter in self.build().named_parameters()}
        found: dict[str, dict[str, float]] = {}
        parts = parts_of(model)
        for name, parameter in model.named_parameters():
            now = parameter.detach()
            now = now.full_tensor() if hasattr(now, "full_tensor") else now  # type: ignore[operator]
            if self.weights is None:
                continue
            base = self.weights[name].to(now.device).double()
            sums = found.setdefault(parts[name], {"change_sq": 0.0, "base_sq": 0.0, "numel": 0})
            sums["change_sq"] += float((now.double() - base).square().sum())
            sums["base_sq"] += float(base.square().sum())
            sums["numel"] += now.numel()
        return found
