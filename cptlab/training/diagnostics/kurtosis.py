"""Kurtosis of the features after each block: how far a few features stand out of the others."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cptlab.data.packing import Batch
from cptlab.training.evaluate import to_tensors
from cptlab.training.parallel import reshard
from cptlab.training.parallel.blocks import blocks_of

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule


def token_kurtosis(x_BTF: Tensor) -> Tensor:
    """E[(x - mean)^4] / E[(x - mean)^2]^2 over the features of each token, (B, T); 0 where they are all equal."""
    centred = x_BTF.float() - x_BTF.float().mean(-1, keepdim=True)
    square = centred.square()
    return square.square().mean(-1) / square.mean(-1).square().clamp(min=torch.finfo(torch.float32).tiny)


@torch.no_grad()
def block_kurtosis(module: CPTModule, batch: Batch, rows: int, batch_rows: int) -> dict[str, list[float]]:
    """Of the first `rows` rows: {mean, se}, each (blocks,). The standard error treats rows as independent."""
    trainer = module._trainer
    blocks = blocks_of(module.network.inner[0])
    taken: list[list[Tensor]] = [[] for _ in blocks]

    def keep(place: list[Tensor]) -> Any:
        def hook(block: object, inputs: object, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden.full_tensor() if hasattr(hidden, "full_tensor") else hidden
            place.append(token_kurtosis(hidden))

        return hook

    count = min(rows, len(batch.input_ids))
    sums, counts = np.zeros((len(blocks), count)), np.zeros(count)
    with ExitStack() as stack:
        stack.enter_context(module.evaluating())
        stack.enter_context(trainer.precision_plugin.forward_context() if trainer else nullcontext())
        for block, place in zip(blocks, taken, strict=True):
            stack.callback(block.register_forward_hook(keep(place)).remove)
        for start in range(0, count, batch_rows):
            own = np.arange(start, min(start + batch_rows, count))
            part = module.network.inputs(to_tensors(batch, own), module.device)
            module(part)
            counted = part["labels"] >= 0
            counts[own] = counted.sum(-1).cpu().numpy()
            for number, place in enumerate(taken):
                values = place.pop().reshape(counted.shape)
                sums[number, own] = (values.double() * counted).sum(-1).cpu().numpy()
    reshard(module.network)
    total = counts.sum()
    mean = sums.sum(-1) / total
    error = np.sqrt(np.sum((sums - mean[:, None] * counts) ** 2, axis=-1)) / total
    return {"mean": mean.tolist(), "se": error.tolist()}
