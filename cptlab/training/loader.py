"""Batches of a token stream as a PyTorch data loader; the order is a pure function, so there is no state.

A step is an index, and the loader reads steps in order: any number of workers gives the same batches, and a restart
at any step, with another number of ranks or workers, goes on with the same global batches.
"""

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cptlab.data.stream import TokenStream
from cptlab.training.evaluate import to_tensors
from cptlab.training.parallel.ranks import data_ranks


class Steps(Dataset):
    """The rows of one rank in every global batch."""

    def __init__(self, stream: TokenStream, rank: int = 0, world_size: int = 1) -> None:
        self.stream, self.rank, self.world_size = stream, rank, world_size

    def __len__(self) -> int:
        return self.stream.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return to_tensors(self.stream.batch(step, self.rank, self.world_size), slice(None))


def step_loader(
    stream: TokenStream, first_step: int = 0, rank: int = 0, world_size: int = 1, num_workers: int = 0
) -> DataLoader:
    """One batch a step from `first_step` on.

    A stream that is planned while it trains takes no workers: they would read ahead of what is planned.
    """
    if num_workers and stream.planned_steps < stream.steps:
        raise ValueError(f"{num_workers} workers cannot read ahead of {stream.planned_steps} planned steps")
    steps = range(first_step, stream.steps)
    return DataLoader(
        Steps(stream, rank, world_size), batch_size=None, sampler=steps, num_workers=num_workers,
    )  # fmt: skip


class StepData(L.LightningDataModule):
    """The steps of a stream from `first_step` on, each process its own rows."""

    def __init__(self, stream: TokenStream, num_workers: int = 0, first_step: int = 0) -> None:
        super().__init__()
        self.stream, self.num_workers, self.first_step = stream, num_workers, first_step

    def train_dataloader(self) -> DataLoader:
        """Known only now: which process this is."""
        ranks = data_ranks(self.trainer)
        return step_loader(self.stream, self.first_step, ranks.rank, ranks.size, self.num_workers)

    def transfer_batch_to_device(self, batch: dict[str, Tensor], device: torch.device, dataloader_idx: int) -> list:
        """The passes of a step."""
        return self.trainer.lightning_module.passes(batch, device)  # type: ignore[union-attr, operator]
