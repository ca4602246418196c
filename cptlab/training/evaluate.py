"""Losses of every corpus on fixed rows, at exponentially spaced steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cptlab.data.packing import IGNORE, Batch
from cptlab.training.objective import token_losses

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule


@dataclass(frozen=True)
class Measurement:
    """Loss of one corpus and split: sums and counts, standard error over rows."""

    loss_sum: float  # [nat]
    num_tokens: int
    num_bytes: int
    loss_se: float  # [nat/token]


def evaluation_steps(steps: int, points: int, spacing: float) -> list[int]:
    """Steps at steps * spacing^-k for k < points, rounded up, without repeats; the last step is one of them.

    Dense where losses change fast, as in D-CPT (Que et al. 2024).
    """
    return sorted({max(1, int(np.ceil(steps * spacing**-k - 1e-9))) for k in range(points)})


@torch.no_grad()
def measure(module: CPTModule, batch: Batch, token_bytes: np.ndarray, batch_rows: int) -> Measurement:
    """Loss of a batch of evaluation rows, a few rows at a time.

    The standard error treats rows as independent: sqrt(sum (l_i - m n_i)^2) / sum n_i, a ratio estimate.
    """
    was_training = module.model.training
    module.model.eval()
    sums, counts = [], []
    for start in range(0, len(batch.input_ids), batch_rows):
        part = to_tensors(batch, slice(start, start + batch_rows), module.device)
        losses = token_losses(module(part), part["labels"]).double()
        sums.append(losses.sum(-1).cpu())
        counts.append((part["labels"] != IGNORE).sum(-1).cpu())
    module.model.train(was_training)
    row_sum, row_count = torch.cat(sums).numpy(), torch.cat(counts).numpy()
    total, number = float(row_sum.sum()), int(row_count.sum())
    error = float(np.sqrt(np.sum((row_sum - total / number * row_count) ** 2))) / number
    labels = batch.labels[batch.labels != IGNORE]
    return Measurement(total, number, int(token_bytes[labels].sum()), error)


def to_tensors(batch: Batch, rows: slice, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """Rows of a batch as tensors of the model's forward."""
    names = ("input_ids", "labels", "position_ids")
    return {name: torch.from_numpy(getattr(batch, name)[rows]).to(device) for name in names}
