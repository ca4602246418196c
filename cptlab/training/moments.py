"""`stage.optimizer=keep`: a stage begins with the optimizer state that the stage before ended with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cptlab.errors import UserError
from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.load import restore_optimizer

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule


class Moments:
    """Read once, before the first step; from then on the run's own checkpoints hold them."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    def place(self, module: CPTModule) -> None:
        """Nothing is kept beside the optimizer."""

    @torch.no_grad()
    def begin(self, module: CPTModule) -> None:
        """The moments of the stage before; the weights stay bit by bit what they are."""
        if module.step:
            return
        if why := folder.problem(self.checkpoint):
            raise UserError(f"stage.optimizer=keep: {self.checkpoint} cannot be read: {why}; train that stage again")
        weights = [parameter.detach().clone() for parameter in module.network.parameters()]
        restore_optimizer(self.checkpoint, module.network, module.trainer.optimizers[0])
        for parameter, weight in zip(module.network.parameters(), weights, strict=True):
            parameter.detach().copy_(weight)

    def before_update(self, module: CPTModule) -> None:
        """Nothing."""

    def after_update(self, module: CPTModule) -> None:
        """Nothing."""

    def finish(self, module: CPTModule) -> None:
        """Nothing is left: the checkpoint of the last step holds them for the next stage."""
