"""Training losses of each corpus since the last evaluation: sums and counts, on the device until asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cptlab.training.checkpoint.together import of_all, world
from cptlab.training.parallel.ranks import data_ranks, summed

if TYPE_CHECKING:
    import lightning as L


class CorpusLosses:
    """What the rows of each corpus cost as they were trained on, this process' share.

    names: the corpora, in the order of Batch.corpus.
    """

    def __init__(self, names: Sequence[str], trainer: L.Trainer | None = None) -> None:
        self.names, self.trainer = list(names), trainer
        self.kept = torch.zeros(2, len(self.names), dtype=torch.float64)  # sums [nat], labels

    def add(self, losses_BT: Tensor, labels_BT: Tensor, corpus_B: Tensor) -> None:
        """The rows of one pass; nobody waits for the device."""
        if self.kept.device != losses_BT.device:
            self.kept = self.kept.to(losses_BT.device)
        rows = torch.stack([losses_BT.detach().sum(-1, dtype=torch.float64), (labels_BT >= 0).sum(-1).double()])
        own = corpus_B == torch.arange(len(self.names), device=corpus_B.device)[:, None]
        self.kept += (rows[:, None] * own).sum(-1)  # no matrix product: those are not deterministic on every GPU

    def take(self) -> dict[str, tuple[float, int]]:
        """{corpus: (sum [nat], labels)} of all processes since the last call. Every process calls it."""
        total = summed(self.kept.clone(), self.trainer).cpu() / data_ranks(self.trainer).copies
        self.kept.zero_()
        return {name: (float(s), round(float(n))) for name, s, n in zip(self.names, *total, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """What each process has kept, plain JSON. Every process calls it."""
        return {"kept": of_all(self.kept.tolist()), "copies": data_ranks(self.trainer).copies}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Each process its own part again; of another number of processes the first takes all."""
        rank, size = world()
        parts = torch.tensor(state["kept"], dtype=torch.float64)
        if len(parts) == size:
            self.kept = parts[rank]
        else:
            whole = parts.sum(0) / state["copies"]
            self.kept = whole * data_ranks(self.trainer).copies if rank == 0 else torch.zeros_like(whole)
