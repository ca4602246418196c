"""KL to the base on some rows: the base's answers are there before the rows are trained on, then cost no forward pass.

source=pass: in each step base and trained weights change places (elementwise, on shards), one forward pass without
gradient goes over the rows in question, and they change back. One copy of the trained weights; of an adapter that is
little. source=stored: see `stored_answers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cptlab.regularizers.kl_to_base import KLToBase
from cptlab.training.answers import Answers, answers_of, kl_to_answers, top_answers
from cptlab.training.kept import kept_of
from cptlab.training.objective import Objective
from cptlab.training.stored_answers import Store

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Inputs, Rows


@dataclass
class WithKL(Objective):
    """An objective, and KL to the base on tokens `place` (n,) of a pass where `answers` are given."""

    objective: Objective
    strength: float
    place: Tensor | None = None
    answers: Answers | None = None

    def loss(self, hidden_ND: Tensor, head: nn.Module, labels_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
        """The objective's; the KL is in the scalar alone, each token with its weight in the step."""
        total, losses = self.objective.loss(hidden_ND, head, labels_N, scale_N)
        if self.place is None or self.answers is None:
            return total, losses
        weight = torch.where(labels_N[self.place] >= 0, scale_N[self.place], 0.0)
        kl = kl_to_answers(hidden_ND[self.place], head, self.answers, weight)
        return total + self.strength * kl, losses


class Teacher:
    """Chooses rows, asks the base, and tells the objective."""

    def __init__(self, regularizer: KLToBase, stream: TokenStream, general: str, folder: Path) -> None:
        """folder: of the record."""
        self.regularizer, self.stream = regularizer, stream
        self.general = stream.names.index(general) if general in stream.names else -1
        self.store = Store(folder, regularizer.top_k) if regularizer.source == "stored" else None

    def place(self, module: CPTModule) -> None:
        """The base's weights are those of the start; a checkpoint restores them after this."""
        module.network.objective = WithKL(module.network.objective, self.regularizer.strength)
        if self.store is None:
            kept_of(module.network).add("anchor", torch.clone, self.regularizer.offload)

    def begin(self, module: CPTModule) -> None:
        """Ask the base for all rows, while the weights are its own."""
        if self.store is not None:
            self.store.fill(module, self.stream, self.chosen)

    def before_update(self, module: CPTModule) -> None:
        """Nothing: the gradient came with the loss."""

    def after_update(self, module: CPTModule) -> None:
        """Nothing."""

    def finish(self, module: CPTModule) -> None:
        """The answers are of no use any more."""
        if self.store is not None:
            self.store.remove()

    def chosen(self, rows: Rows) -> Tensor:
        """Which rows are compared: numbers (n,), on the CPU."""
        if self.regularizer.rows == "all":
            return torch.arange(len(rows["corpus"]))
        flags = rows["replayed"] if self.regularizer.rows == "replayed" else rows["corpus"] == self.general
        return flags.nonzero()[:, 0]

    def inputs(self, module: CPTModule, rows: Rows, device: torch.device) -> Inputs:
        """What a pass needs beside its own inputs: `place` of the chosen tokens, and their rows or answers."""
        chosen, length = self.chosen(rows), rows["labels"].shape[1]
        place = (chosen[:, None] * length + torch.arange(length)).flatten()
        extra: Inputs = {"place": place.to(device)}
        if self.store is not None:
            answers = self.store.read(rows["input_ids"][chosen])
            return extra | {"answers": Answers(answers.ids.to(device), answers.log_q.to(device))}
        # Sharded weights are gathered by all or none: a process without such rows passes one that counts nothing.
        asked = chosen if len(chosen) else torch.arange(min(1, module.trainer.world_size - 1))
        if len(asked):
            extra["asked"] = module.network.inputs({name: value[asked] for name, value in rows.items()}, device)
        return extra

    @torch.no_grad()
    def ask(self, module: CPTModule, batch: list[Inputs]) -> None:
        """The base's answers for every pass of a step."""
        if self.store is not None or not any("asked" in part for part in batch):
            return
        kept = kept_of(module.network)
        kept.exchange("anchor")
        module.network.eval()
        for part in batch:
            if "asked" in part:
                take = partial(top_answers, top_k=self.regularizer.top_k)
                part["answers"] = answers_of(module.network, part.pop("asked"), take)
        module.network.train()
        kept.exchange("anchor")

    def tell(self, module: CPTModule, part: Inputs) -> None:
        """The pass that comes next, to the objective."""
        objective = module.network.objective
        assert isinstance(objective, WithKL)
        there = len(part["place"]) > 0
        objective.place, objective.answers = (part["place"], part["answers"]) if there else (None, None)
