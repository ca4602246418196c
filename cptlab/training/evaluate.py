"""Losses of every corpus on fixed rows, at exponentially spaced steps."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cptlab.data.packing import IGNORE, Batch
from cptlab.training.parallel import reshard
from cptlab.training.parallel.ranks import data_ranks, summed

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
    """Loss of a batch of evaluation rows, a few rows at a time, shared out among the processes.

    The standard error treats rows as independent: sqrt(sum (l_i - m n_i)^2) / sum n_i, a ratio estimate.
    """
    trainer = module._trainer  # None outside a fit
    ranks = data_ranks(trainer)
    number = len(batch.input_ids)
    own = np.arange(ranks.rank, ranks.rank + ranks.size * -(-number // ranks.size), ranks.size)
    sums = torch.zeros(number, dtype=torch.float64, device=module.device)
    precision = trainer.precision_plugin.forward_context() if trainer else nullcontext()
    with module.evaluating(), precision:
        for start in range(0, len(own), batch_rows):
            rows = own[start : start + batch_rows]  # all processes make as many passes; rows past the end count nothing
            part = module.network.inputs(to_tensors(batch, np.minimum(rows, number - 1)), module.device)
            losses = module(part)[1].double().sum(-1)
            real = torch.from_numpy(rows < number).to(module.device)
            sums[torch.from_numpy(rows[rows < number]).to(module.device)] = losses[real]
    reshard(module.network)
    row_sum = summed(sums, trainer).cpu().numpy() / ranks.copies
    row_count = (batch.labels != IGNORE).sum(-1)
    total, counted = float(row_sum.sum()), int(row_count.sum())
    error = float(np.sqrt(np.sum((row_sum - total / counted * row_count) ** 2))) / counted
    labels = batch.labels[batch.labels != IGNORE]
    return Measurement(total, counted, int(token_bytes[labels].sum()), error)


def to_tensors(batch: Batch, rows: slice | np.ndarray = slice(None)) -> dict[str, torch.Tensor]:
    """Rows of a batch as tensors on the CPU."""
    names = ("input_ids", "labels", "position_ids", "corpus", "replayed")
    return {name: torch.from_numpy(getattr(batch, name)[rows]) for name in names}
