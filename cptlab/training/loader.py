"""Batches of a token stream as a Lightning data loader; the order is a pure function, so there is no state."""

from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from cptlab.data.stream import TokenStream
from cptlab.training.evaluate import to_tensors


class Steps(IterableDataset):
    """The global batches of a stream from `first_step` on.

    The length is given so that Lightning asks for a batch only when it trains on it: the batch after a decision of a
    mixture that learns does not exist before it.
    """

    def __init__(self, stream: TokenStream, first_step: int = 0) -> None:
        self.stream, self.first_step = stream, first_step

    def __len__(self) -> int:
        return self.stream.steps - self.first_step

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for step in range(self.first_step, self.stream.steps):
            yield to_tensors(self.stream.batch(step), slice(None))


def step_loader(stream: TokenStream, first_step: int = 0) -> DataLoader:
    """One batch a step."""
    return DataLoader(Steps(stream, first_step), batch_size=None, num_workers=0)
