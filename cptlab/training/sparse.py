"""Sparse training: masked weights get no gradient, and are exactly zero after every step whatever moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightning as L
import torch
from torch import Tensor, nn

from cptlab.sparsity.base import Sparsity
from cptlab.sparsity.spdf import SPDF
from cptlab.training.kept import kept_of, place

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.training.module import CPTModule

ACTIVE = "active"  # kind of the kept masks; a checkpoint holds them


def matrices(model: PreTrainedModel) -> list[Tensor]:
    """What is masked: parameters of two dimensions or more, embeddings and head left out."""
    embeddings: list[nn.Module] = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    ends = [module.weight for module in (*embeddings, model.get_output_embeddings()) if module is not None]
    out = {id(weight) for weight in ends}
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2 and id(parameter) not in out]


def mean_params(config: TrainConfig, model: PreTrainedModel, num_params: int) -> NDArray | None:
    """Active parameters averaged over the steps up to each, (steps + 1,); None for dense training."""
    if not config.sparsity.identity():
        return None
    return config.sparsity.mean_params(num_params, [weight.numel() for weight in matrices(model)], config.steps)


class Sparse(L.Callback):
    """Comes after what else moves weights, before what measures and saves them."""

    def __init__(self, sparsity: Sparsity, steps: int, seed: int) -> None:
        self.sparsity, self.seed, self.shares = sparsity, seed, sparsity.in_force(steps)
        self.masked: list[tuple[Tensor, Tensor]] = []  # each matrix with its mask

    def on_fit_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """A mask for each matrix; a checkpoint restores them after this."""
        kept, wanted = kept_of(pl_module.network), {id(each) for each in matrices(pl_module.network.inner[0])}
        for name, weight in kept.weights[0].items():
            if id(weight) in wanted:
                kept.register_buffer(place(ACTIVE, name), torch.ones_like(weight, dtype=torch.bool))
                self.masked.append((weight, kept.get_buffer(place(ACTIVE, name))))

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: CPTModule, batch: object, batch_idx: int) -> None:
        """The first masks, after the base's loss was measured."""
        if pl_module.step == 0:
            self.mask(0)

    @torch.no_grad()
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: CPTModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """No gradient for what is masked: neither the norm that is clipped nor a moment sees it."""
        for weight, active in self.masked:
            if weight.grad is not None:
                weight.grad.mul_(active)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: CPTModule, outputs: object, batch: object, batch_idx: int
    ) -> None:  # fmt: skip
        """What a moment or a penalty moved is zero again, and the masks of the next step are there."""
        self.mask(pl_module.step)

    @torch.no_grad()
    def mask(self, step: int) -> None:
        """Bring the masks to what is in force after `step` steps, and the masked weights to zero."""
        for number, (weight, active) in enumerate(self.masked):
            weight.mul_(active)  # those that a moment has moved; what is unmasked now begins at zero
            count = self.sparsity.num_masked(weight.numel(), float(self.shares[step]))
            before = int(weight.numel() - active.sum()) if step == 0 or self._changes(weight, step) else count
            if count < before:
                active.fill_(True)  # masks grow, or are taken off as a whole
            elif count > before:
                scores = self.scores(weight, number).masked_fill(~active, -1.0)
                active.view(-1)[scores.view(-1).topk(count, largest=False, sorted=False).indices] = False
                weight.mul_(active)

    def _changes(self, weight: Tensor, step: int) -> bool:
        shares = (float(self.shares[max(step - 1, 0)]), float(self.shares[step]))
        return len({self.sparsity.num_masked(weight.numel(), share) for share in shares}) > 1

    def scores(self, weight: Tensor, number: int) -> Tensor:
        """The smallest are masked: magnitudes, or for random masks draws from the seed and the matrix's number."""
        if isinstance(self.sparsity, SPDF) and self.sparsity.chosen == "random":
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            return torch.rand(weight.shape, generator=generator).to(weight.device)
        return weight.detach().abs()


def sparse(config: TrainConfig, steps: int) -> list[Sparse]:
    """The callback of sparse training, if there is any."""
    return [Sparse(config.sparsity, steps, config.seed)] if config.sparsity.identity() else []
