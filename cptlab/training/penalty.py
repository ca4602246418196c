"""Quadratic regularisers while a run trains: their gradient is added to that of the data, shard by shard.

It is added once an optimizer step, after the passes and their exchange and before clipping: accumulation, ranks and
recomputation do not touch it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cptlab.regularizers.base import Quadratic
from cptlab.regularizers.ewc import EWC
from cptlab.regularizers.path import FILE, PathRegularizer
from cptlab.training.checkpoint.state import canonical
from cptlab.training.fisher import measure_fisher
from cptlab.training.importance import MADE_BY
from cptlab.training.kept import Kept, kept_of, like, local
from cptlab.training.parallel.ranks import is_first_process

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream
    from cptlab.training.module import CPTModule


class Penalty:
    """`l2_to_base`, `ewc`: around the weights of the start, with an importance or without."""

    def __init__(self, regularizer: Quadratic, stream: TokenStream, general: str) -> None:
        self.regularizer, self.stream, self.general = regularizer, stream, general

    def place(self, module: CPTModule) -> None:
        """Where the run starts, and room for the rest; a checkpoint restores both after this."""
        kept = kept_of(module.network)
        for kind in self.regularizer.kept:
            kept.add(kind, torch.clone if kind in ("anchor", "mark") else torch.zeros_like, self.regularizer.offload)

    def begin(self, module: CPTModule) -> None:
        """The importance, before the first step of the run."""
        if isinstance(self.regularizer, EWC) and module.step == 0:
            corpus = self.regularizer.corpus or self.general
            measure_fisher(module, self.regularizer, self.stream, corpus)

    @torch.no_grad()
    def before_update(self, module: CPTModule) -> None:
        """Adds the penalty's gradient."""
        if not self.regularizer.strength:
            return
        kept = kept_of(module.network)
        weights, gradients, anchors = kept.local_weights(), kept.local_gradients(), kept.local("anchor")
        importances = kept.local("importance") if "importance" in self.regularizer.kept else [None] * len(weights)
        for weight, gradient, anchor, importance in zip(weights, gradients, anchors, importances, strict=True):
            omega = None if importance is None else near(importance, weight)
            gradient += self.regularizer.pull(weight, near(anchor, weight), omega)

    def after_update(self, module: CPTModule) -> None:
        """Nothing."""

    def finish(self, module: CPTModule) -> None:
        """Nothing is left."""


class PathPenalty(Penalty):
    """`si`, `rwalk`: also watches each step, and leaves importances for the next run.

    Two more copies of the weights live from the gradient of a step to its end: the gradient and the weights before.
    """

    regularizer: PathRegularizer

    def __init__(
        self, regularizer: PathRegularizer, stream: TokenStream, general: str, weights: Path | None, run: Path
    ) -> None:  # fmt: skip
        """weights: folder of the base's, run: folder of the record."""
        super().__init__(regularizer, stream, general)
        self.file, self.run = regularizer.file(weights), run
        self.before: list[tuple[Tensor, Tensor]] = []  # gradient and weight of each, before the step

    @torch.no_grad()
    def begin(self, module: CPTModule) -> None:
        """What the runs before have left."""
        if self.file is None or module.step:
            return
        kept = kept_of(module.network)
        for name, weight in kept.weights[0].items():
            for kind, tensor in self._read(name).items():
                if kind in self.regularizer.kept and kind != "score":  # that of this run is its own
                    local(kept.whole(kind)[name]).copy_(local(like(weight.detach(), tensor)))

    @torch.no_grad()
    def before_update(self, module: CPTModule) -> None:
        """The gradient of the data alone, then the penalty's on top."""
        kept = kept_of(module.network)
        gradients = [gradient.clone() for gradient in kept.local_gradients()]
        self.before = list(zip(gradients, [weight.clone() for weight in kept.local_weights()], strict=True))
        for state, gradient in zip(self._states(kept), gradients, strict=True):
            self.regularizer.seen(state, near(gradient, state["path"]))
        super().before_update(module)

    @torch.no_grad()
    def after_update(self, module: CPTModule) -> None:
        """What the step gained."""
        kept = kept_of(module.network)
        for state, (gradient, was), weight in zip(self._states(kept), self.before, kept.local_weights(), strict=True):
            at = state["path"]
            self.regularizer.stepped(state, near(gradient, at), near(weight - was, at), near(weight, at), module.step)
        self.before = []

    @torch.no_grad()
    def finish(self, module: CPTModule) -> None:
        """Write `importance.safetensors` into the run folder, whole tensors by the model's own names."""
        kept = kept_of(module.network)
        left = []
        for (name, weight), state in zip(kept.weights[0].items(), self._states(kept), strict=True):
            read = {kind: local(like(weight.detach(), t)) for kind, t in self._read(name).items()}
            before = {kind: near(tensor, state["path"]) for kind, tensor in read.items()}
            left.append(self.regularizer.finished(state, near(local(weight.detach()), state["path"]), before))
        largest = {kind: largest_of([each[kind] for each in left], module) for kind in left[0]}
        whole = {}
        for (name, weight), each in zip(kept.weights[0].items(), left, strict=True):
            for kind, tensor in self.regularizer.scaled(each, largest).items():
                full = gathered(tensor, weight)
                if is_first_process():
                    whole[f"{kind}/{canonical(name)}"] = full.cpu().contiguous()
        if is_first_process():
            from safetensors.torch import save_file

            made_by = {MADE_BY: self.regularizer.variant_name}  # type: ignore[attr-defined]
            save_file(whole, self.run / f"{FILE}.part", metadata=made_by)
            (self.run / f"{FILE}.part").replace(self.run / FILE)

    def _states(self, kept: Kept) -> list[dict[str, Tensor]]:
        lists = [kept.local(kind) for kind in self.regularizer.kept]
        return [dict(zip(self.regularizer.kept, tensors, strict=True)) for tensors in zip(*lists, strict=True)]

    def _read(self, name: str) -> dict[str, Tensor]:
        """{kind: whole tensor} of one weight in the base's file."""
        from safetensors import safe_open

        if self.file is None:
            return {}
        with safe_open(self.file, framework="pt") as file:
            keys = set(file.keys())
            kinds = sorted({key.partition("/")[0] for key in keys})
            return {k: file.get_tensor(f"{k}/{canonical(name)}") for k in kinds if f"{k}/{canonical(name)}" in keys}


def near(tensor: Tensor, other: Tensor) -> Tensor:
    """On the device of another, where the two may differ."""
    return tensor if tensor.device == other.device else tensor.to(other.device)


def largest_of(parts: list[Tensor], module: CPTModule) -> float:
    """Maximum over all weights and processes."""
    most = torch.stack([part.max() if part.numel() else part.new_tensor(float("-inf")) for part in parts]).max()
    if module.trainer.world_size > 1:
        most = most.to(module.device)
        torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
    return float(most)


def gathered(part: Tensor, weight: Tensor) -> Tensor:
    """The whole tensor of this process' part, placed as the weight is. All processes take part."""
    from torch.distributed.tensor import DTensor

    if not isinstance(weight, DTensor):
        return part
    mesh, placements = weight.device_mesh, weight.placements
    part = part.to(mesh.device_type)
    whole = DTensor.from_local(part, mesh, placements, run_check=False, shape=weight.shape, stride=weight.stride())
    return whole.full_tensor()
