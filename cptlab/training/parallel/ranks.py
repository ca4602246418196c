"""Which part of a global batch this process reads, and sums over all processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import lightning as L
    from torch import Tensor


@dataclass(frozen=True)
class DataRanks:
    """rank of size: place among the processes that read different rows; copies: processes that read the same ones."""

    rank: int = 0
    size: int = 1
    copies: int = 1


def data_ranks(trainer: L.Trainer | None) -> DataRanks:
    """From the strategy of a trainer that has started; one process without a trainer."""
    if trainer is None or trainer.world_size == 1:
        return DataRanks()
    strategy: Any = trainer.strategy
    known = strategy.distributed_sampler_kwargs
    size = known["num_replicas"]
    return DataRanks(known["rank"], size, trainer.world_size // size)


def summed(values: Tensor, trainer: L.Trainer | None) -> Tensor:
    """Sum over the processes; values itself where there is one."""
    if trainer is None or trainer.world_size == 1:
        return values
    import torch.distributed as dist

    dist.all_reduce(values)
    return values


def local_rank() -> int:
    """Number of this process on its machine, and of the GPU that is its own."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)


def is_first_process() -> bool:
    """Whether this process writes records, before and after the process group exists (torchrun, SLURM)."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
