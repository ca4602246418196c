"""`optimizer=galore`: Adam in the gradient's leading subspace, for full training in the memory of LoRA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, require
from cptlab.optimizers.base import AdamFields, Machine, above_zero, one_of
from cptlab.optimizers.groups import decay_groups, filled, kinds, split_hidden
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch

SIDES = ("std", "reverse_std", "left", "right")


@variant("optimizer", "galore")
@dataclass(kw_only=True)
class GaLore(AdamFields):
    """GaLore (Zhao et al. 2024, arXiv 2403.03507) by galore-torch: hidden matrices in rank `rank`, AdamW elsewhere.

    Every `update_gap` steps the projection is renewed from the SVD of the gradient of that step. States of an (m, n)
    matrix take 2 rank max(m, n) numbers, its projection rank min(m, n) more, where AdamW takes 2 m n.
    """

    rank: int = 128  # of the projected gradient, 1 or more
    update_gap: int = 200  # steps between two projections, 1 or more
    scale: float = 0.25  # of the projected update: LR of matrices = scale x LR
    side: str = "std"  # side that is projected: std = the shorter one, reverse_std = the longer one, left, right

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rank", "update_gap", "scale"):
            above_zero(name, getattr(self, name))
        one_of("side", self.side, SIDES)

    def check(self, machine: Machine) -> None:
        """One device only: each rank would take the SVD of its own shard, or its own sign of a singular vector."""
        if machine.strategy != "single" or machine.tensor_parallel > 1:
            raise UserError(
                f"optimizer=galore works on one device, not with machine.strategy={machine.strategy}; take"
                " optimizer=adamw8bit there, which saves memory and shards"
            )
        require("galore_torch", "optimizer=galore", "low_precision")

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Projected matrices, then the two groups of plain AdamW."""
        from cptlab.optimizers.updates.projected import Projected

        hidden, rest = split_hidden(kinds(model))
        decay = 0.0 if "matrices" in self.no_decay else self.weight_decay
        projected = {
            "params": hidden, "weight_decay": decay, "rank": self.rank, "update_proj_gap": self.update_gap,
            "scale": self.scale, "proj_type": self.side,
        }  # fmt: skip
        groups = filled([projected, *decay_groups(rest, self.weight_decay, self.no_decay)])
        return Projected(groups, self.peak_lr, (self.beta1, self.beta2), self.eps)
