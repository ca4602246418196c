"""Lightning's strategy for a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy

    from cptlab.training.machine import Machine


def strategy_of(machine: Machine) -> str | Strategy:
    """`auto` for one process, else the strategy with the backend of the accelerator (gloo on a CPU)."""
    if machine.strategy == "single":
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    backend = "gloo" if machine.accelerator == "cpu" else "nccl"
    if machine.strategy == "ddp":
        return DDPStrategy(process_group_backend=backend, gradient_as_bucket_view=True)
    raise UserError(f"machine.strategy={machine.strategy} is not built yet; use ddp")
