"""Dot products of the corpora's gradients at one step, between halves of their rows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cptlab.data.packing import IGNORE, Batch
from cptlab.training.evaluate import to_tensors
from cptlab.training.parallel import reshard

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule

Gradients = list[Tensor | None]  # one a trained parameter


def half_gradients(module: CPTModule, batch: Batch, rows: int, batch_rows: int) -> list[Gradients]:
    """Gradients of the mean loss of even and of odd rows among the first `rows`, of the weights as they are evaluated.

    Every process reads the same rows, so that whatever it averages over processes stays as it is. Gradients that the
    weights hold already are put back.
    """
    weights = [p for p in module.network.parameters() if p.requires_grad]
    held = [p.grad for p in weights]
    trainer = module._trainer
    precision = trainer.precision_plugin.forward_context() if trainer else nullcontext()
    found = []
    with module.evaluating(), torch.enable_grad():
        for half in (0, 1):
            own = np.arange(half, min(rows, len(batch.input_ids)), 2)
            labels = int((batch.labels[own] != IGNORE).sum())
            for weight in weights:
                weight.grad = None
            scale = torch.tensor(1.0 / max(labels, 1), device=module.device)
            for start in range(0, len(own), batch_rows):
                part = module.network.inputs(to_tensors(batch, own[start : start + batch_rows]), module.device)
                with precision:
                    loss = module(part, scale)[0]
                loss.backward()
            found.append([weight.grad for weight in weights])
    for weight, gradient in zip(weights, held, strict=True):
        weight.grad = gradient
    reshard(module.network)
    return found


def gram(gradients: list[Gradients]) -> np.ndarray:
    """Dot products of all pairs, (n, n) float64; sharded gradients are summed over their processes."""
    dots = np.zeros((len(gradients),) * 2)
    for i, one in enumerate(gradients):
        for j, other in enumerate(gradients[: i + 1]):
            parts = [dot(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
            dots[i, j] = dots[j, i] = float(torch.stack(parts).sum()) if parts else 0.0
    return dots


def dot(one: Tensor, other: Tensor) -> Tensor:
    """Of two tensors of one shape and layout, () float64."""
    total = (one.float() * other.float()).sum(dtype=torch.float64)
    return total.full_tensor() if hasattr(total, "full_tensor") else total  # type: ignore[operator]
