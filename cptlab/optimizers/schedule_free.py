"""`optimizer=schedule_free`: AdamW that averages its iterates instead of decaying its LR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, require
from cptlab.optimizers.base import AdamFields, Machine, Schedule, above_zero
from cptlab.optimizers.groups import decay_groups, kinds
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch


@variant("optimizer")
@dataclass(kw_only=True)
class ScheduleFree(AdamFields):
    """Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682) by the schedulefree package.

    Gradients are taken at y, between the last iterate z and the average x; `.eval()` puts x into the model and
    `.train()` puts y back, so every evaluation and every saved model is x. The warm-up is lr_schedule's: the package
    weighs its average by the largest LR so far, and gets the same LRs as by its own warm-up.
    """

    beta1: float = 0.9  # share of x in y, in (0, 1)
    average_power: float = 0.0  # r: weight of step k in the average grows like k^r

    averages = True

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero("beta1", self.beta1)

    def check(self, machine: Machine) -> None:
        """The package is there."""
        require("schedulefree", "optimizer=schedule_free", "low_precision")

    def check_schedule(self, schedule: Schedule) -> None:
        """Decay and average would do the same work twice."""
        if not schedule.is_constant:
            raise UserError(
                "optimizer=schedule_free replaces the decay of the LR; take lr_schedule=constant (its warm-up stays)"
            )

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """In training mode: the model holds y."""
        from schedulefree import AdamWScheduleFree

        groups = decay_groups(kinds(model), self.weight_decay, self.no_decay)
        betas = (self.beta1, self.beta2)
        optimizer = AdamWScheduleFree(groups, lr=self.peak_lr, betas=betas, eps=self.eps, r=self.average_power)
        optimizer.train()
        return optimizer
