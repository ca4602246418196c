"""When ranks exchange gradients: in the last backward pass of an optimizer step."""

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
    """Within, backward keeps its gradients to the rank unless it is the last of the step."""
    strategy: Any = trainer.strategy
    if hasattr(network, "set_requires_gradient_sync"):  # FSDP2
        network.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield
    elif not last and hasattr(strategy.model, "no_sync"):  # DDP
        with strategy.model.no_sync():
            yield
    else:
        yield
