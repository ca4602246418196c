"""What a run does against forgetting while it trains: one callback for Reptile, penalties, KL and projections.

Before an update the penalty joins the gradient (then it is clipped); after it a path is followed, then weights are
drawn back; only then is the step evaluated and saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import lightning as L
import torch

from cptlab.regularizers.base import Quadratic
from cptlab.regularizers.kl_to_base import KLToBase
from cptlab.regularizers.path import PathRegularizer
from cptlab.replay.mer import MER
from cptlab.replay.projected import ProjectedReplay
from cptlab.training.before import last_checkpoint
from cptlab.training.module import CPTModule
from cptlab.training.moments import Moments
from cptlab.training.penalty import PathPenalty, Penalty
from cptlab.training.projection import Projection
from cptlab.training.reptile import Reptile
from cptlab.training.teacher import Teacher

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.data.stream import TokenStream


class Part(Protocol):
    """One method's share of a step."""

    def place(self, module: CPTModule) -> None:
        """Make what is kept, once the network lies where it trains and before a checkpoint is read."""
        ...

    def begin(self, module: CPTModule) -> None:
        """Measure what must be known before the first step; `module.step` is above 0 in a run that goes on."""
        ...

    def before_update(self, module: CPTModule) -> None:
        """The gradients of the step are there."""
        ...

    def after_update(self, module: CPTModule) -> None:
        """The weights have moved; `module.step` counts this step."""
        ...

    def finish(self, module: CPTModule) -> None:
        """After the last step of the run."""
        ...


class Continual(L.Callback):
    """Comes first of all callbacks."""

    def __init__(self, parts: list[Part], steps: int) -> None:
        self.parts, self.steps = parts, steps

    def on_fit_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """The strategy has put the network in its place."""
        for part in self.parts:
            part.place(pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """A checkpoint has been read."""
        for part in self.parts:
            part.begin(pl_module)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: CPTModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Before clipping."""
        for part in self.parts:
            part.before_update(pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: CPTModule, outputs: object, batch: object, batch_idx: int
    ) -> None:  # fmt: skip
        """Before the step is evaluated."""
        for part in self.parts:
            part.after_update(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """A run that stops early finishes nothing."""
        if pl_module.step >= self.steps:
            for part in self.parts:
                part.finish(pl_module)


def continual(config: TrainConfig, module: CPTModule, stream: TokenStream, run: Path) -> list[Continual]:
    """The callback that this configuration needs, if any; the module learns of teacher and projection."""
    regularizer, replay, general = config.regularizer, config.replay, config.data.general
    parts: list[Part] = []
    weights = config.model.folder()
    if config.stage.follows and config.stage.optimizer == "keep" and weights:
        parts.append(Moments(last_checkpoint(weights.parent)))
    if isinstance(regularizer, PathRegularizer):
        parts.append(PathPenalty(regularizer, stream, general, weights, run))
    elif isinstance(regularizer, Quadratic):
        parts.append(Penalty(regularizer, stream, general))
    elif isinstance(regularizer, KLToBase):
        module.teacher = Teacher(regularizer, stream, general, run)
        parts.append(module.teacher)
    if isinstance(replay, MER):
        parts.append(Reptile(replay))
    if isinstance(replay, ProjectedReplay):
        module.projection = Projection(replay, len(stream.names))
    return [Continual(parts, stream.steps)] if parts else []
