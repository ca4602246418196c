"""`optimizer=lion8bit`: the sign of a momentum of 8 bits, an eighth of the memory of AdamW's states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, require
from cptlab.optimizers.adamw8bit import refuse_paging
from cptlab.optimizers.base import Machine, Optimizer, is_sharded, share_below_one, zero_or_more
from cptlab.optimizers.groups import decay_groups, kinds
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch


@variant("optimizer", "lion8bit")
@dataclass(kw_only=True)
class Lion8bit(Optimizer):
    """Lion (Chen et al. 2023, arXiv 2302.06675) with 8-bit momentum by bitsandbytes.

    Its peak LR is 3 to 10 times smaller than AdamW's and its weight decay as much larger, as the paper found.
    """

    peak_lr: float = 1e-4
    beta1: float = 0.9  # share of the momentum in the update, in [0, 1)
    beta2: float = 0.99  # decay of the momentum, in [0, 1)
    weight_decay: float = 1.0  # decoupled, per unit of LR, on what `no_decay` leaves
    paged: bool = False  # states move to the host's memory when the GPU's is short

    state_bytes = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            share_below_one(name, getattr(self, name))
        zero_or_more("weight_decay", self.weight_decay)

    def check(self, machine: Machine) -> None:
        """Not under sharding: no library has a sharded Lion."""
        if is_sharded(machine):
            raise UserError(
                f"optimizer=lion8bit cannot hold sharded states (machine.strategy={machine.strategy}); use"
                " optimizer=adamw8bit, whose torchao states shard, or machine.strategy=ddp"
            )
        if self.paged:
            refuse_paging(machine)
        require("bitsandbytes", "optimizer=lion8bit", "low_precision")

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Two groups: with decay and without."""
        from bitsandbytes.optim.lion import Lion8bit, PagedLion8bit

        groups = decay_groups(kinds(model), self.weight_decay, self.no_decay)
        make = PagedLion8bit if self.paged else Lion8bit
        return make(groups, lr=self.peak_lr, betas=(self.beta1, self.beta2))
