"""When ranks exchange gradients: in the last backward pass of an optimizer step, shards in every one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import lightning as L
    from torch import nn


def reshard(network: nn.Module) -> None:
    """After a forward pass without a backward one, FSDP2's root still holds whole weights in its compute type."""
    if hasattr(network, "reshard"):
        network.reshard()  # type: ignore[operator]


@contextmanager
def gradient_sync(trainer: L.Trainer, network: nn.Module, last: bool) -> Iterator[None]:
    """Within, backward exchanges no more than it must unless it is the last of the step.

    Sharded gradients are scattered in every pass: kept whole until the last one they would take the memory of the whole
    model on every GPU. Only replicas of shards (hybrid sharding) wait for the last.
    """
    strategy: Any = trainer.strategy
    if hasattr(network, "set_requires_all_reduce"):  # FSDP2
        network.set_requires_all_reduce(last)  # type: ignore[operator]
        yield
    elif not last and hasattr(strategy.model, "no_sync"):  # DDP
        with strategy.model.no_sync():
            yield
    else:
        yield
