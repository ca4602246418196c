"""`optimizer=adamw8bit`: AdamW with both moments in 8 bits, a quarter of the memory of its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, require
from cptlab.optimizers.base import AdamFields, Machine, is_sharded, one_of
from cptlab.optimizers.groups import decay_groups, kinds
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch

LIBRARIES = ("auto", "bitsandbytes", "torchao")


@variant("optimizer", "adamw8bit")
@dataclass(kw_only=True)
class AdamW8bit(AdamFields):
    """8-bit AdamW (Dettmers et al. 2022, arXiv 2110.02861), block-wise scales, tensors under 4096 numbers in fp32.

    bitsandbytes knows no DTensor; torchao does. Under sharding the 4096 count a rank's part, so which states have
    8 bits depends on the number of ranks.
    """

    library: str = "auto"  # auto = torchao for sharded parameters, bitsandbytes otherwise
    paged: bool = False  # states move to the host's memory when the GPU's is short (bitsandbytes)

    state_bytes = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("library", self.library, LIBRARIES)
        if self.paged and self.library == "torchao":
            raise UserError("optimizer.paged=true is bitsandbytes' own; leave optimizer.library=auto")

    def check(self, machine: Machine) -> None:
        """bitsandbytes not under sharding, paging on a GPU only, the library installed."""
        if self.library == "bitsandbytes" and is_sharded(machine):
            raise UserError(
                f"optimizer.library=bitsandbytes cannot hold sharded states (machine.strategy={machine.strategy});"
                " use optimizer.library=torchao, which auto takes here"
            )
        if self.paged:
            refuse_paging(machine)
        library = self.resolved_library(machine)
        require(library, f"optimizer=adamw8bit by {library}", "low_precision")

    def resolved_library(self, machine: Machine) -> str:
        """What `auto` means on this machine, for the record."""
        return ("torchao" if is_sharded(machine) else "bitsandbytes") if self.library == "auto" else self.library

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Two groups: with decay and without."""
        from torch.distributed.tensor import DTensor

        weights = kinds(model)
        groups, betas = decay_groups(weights, self.weight_decay, self.no_decay), (self.beta1, self.beta2)
        sharded = any(isinstance(p, DTensor) for _, p in weights)
        if self.library == "torchao" or (self.library == "auto" and sharded):
            from cptlab.optimizers.updates.eight_bit import EightBitAdamW

            return EightBitAdamW(groups, lr=self.peak_lr, betas=betas, eps=self.eps)
        from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit

        make = PagedAdamW8bit if self.paged else AdamW8bit
        return make(groups, lr=self.peak_lr, betas=betas, eps=self.eps)


def refuse_paging(machine: Machine) -> None:
    """UserError unless the states can be paged: GPU, not sharded."""
    if machine.accelerator != "gpu" or is_sharded(machine):
        raise UserError(
            f"optimizer.paged=true needs whole parameters on a GPU (machine.accelerator={machine.accelerator},"
            f" machine.strategy={machine.strategy}); leave optimizer.paged=false"
        )
