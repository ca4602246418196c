"""The Reptile step of MER: every k optimizer steps the weights are drawn back towards where the last one left them.

Weights are the fp32 master weights (all training here keeps them), shards are drawn back each in its place, and how a
step is cut into passes does not matter: nothing happens within one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cptlab.replay.mer import MER
from cptlab.training.kept import kept_of

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule


class Reptile:
    """Keeps the anchor, one copy of the trained weights."""

    def __init__(self, replay: MER) -> None:
        self.replay = replay

    def place(self, module: CPTModule) -> None:
        """The anchor is where the run starts; a checkpoint restores it after this."""
        kept_of(module.network).add("reptile", torch.clone, self.replay.offload)

    def begin(self, module: CPTModule) -> None:
        """Nothing is measured."""

    def before_update(self, module: CPTModule) -> None:
        """Nothing."""

    @torch.no_grad()
    def after_update(self, module: CPTModule) -> None:
        """theta <- anchor + rate (theta - anchor); the anchor follows. Exact at rate 0 and 1."""
        if module.step % self.replay.every:
            return
        kept = kept_of(module.network)
        for weight, anchor in zip(kept.local_weights(), kept.local("reptile"), strict=True):
            now = weight if anchor.device == weight.device else weight.to(anchor.device)
            anchor.lerp_(now, self.replay.rate)
            weight.copy_(anchor)

    def finish(self, module: CPTModule) -> None:
        """Nothing is left."""
