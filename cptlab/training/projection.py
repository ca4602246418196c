"""Gradients of replayed rows against those of the mixture's rows: A-GEM and GEM.

The rows of a step are sorted into groups, each with its own passes and its own mean over all processes; then the
mixture's gradient is changed in place. Shards are multiplied where they lie, and the products summed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from cptlab.replay.gem import GEM
from cptlab.replay.projected import ProjectedReplay
from cptlab.training.kept import local

if TYPE_CHECKING:
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Inputs, Rows


class Projection:
    """Group 0 are the mixture's rows; the replayed ones are group 1, or a group for each corpus."""

    def __init__(self, replay: ProjectedReplay, num_corpora: int) -> None:
        self.replay = replay
        self.num_groups = 1 + (num_corpora if replay.by_corpus else 1)

    def groups(self, rows: Rows, module: CPTModule) -> dict[int, Rows]:
        """Rows by group, as many of each on every process: what one lacks is a row whose labels count nothing."""
        number = rows["replayed"].long()
        if self.replay.by_corpus:
            number = number * (1 + rows["corpus"])
        own = torch.bincount(number, minlength=self.num_groups)
        most = own
        if module.trainer.world_size > 1:
            most = own.to(module.device, copy=True)
            torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
        found = {}
        for group, (have, need) in enumerate(zip(own.tolist(), most.tolist(), strict=True)):
            if need:
                at = torch.cat([(number == group).nonzero()[:, 0], torch.zeros(need - have, dtype=torch.long)])
                part = {name: value[at] for name, value in rows.items()}
                part["labels"][have:] = -100
                found[group] = part
        return found

    def backward(self, module: CPTModule, batch: list[Inputs]) -> Tensor:
        """Passes of all groups and the projected gradient in its place. Loss of the mixture's rows on this process.

        A step without such rows, which a mixture that learns may come to, has gradient 0: a constraint is no descent.
        """
        weights = [p for p in module.network.parameters() if p.requires_grad]
        if all(part["group"] for part in batch):
            for weight in weights:
                weight.grad = torch.zeros_like(weight)
            return torch.zeros((), device=module.device)
        gradients: list[list[Tensor]] = []
        losses = []
        for group in sorted({part["group"] for part in batch}):
            if gradients:
                set_aside(weights, gradients[-1])
            losses.append(module.backward_passes([part for part in batch if part["group"] == group]))
            gradients.append([p.grad if p.grad is not None else torch.zeros_like(p) for p in weights])
        if len(gradients) > 1:
            self.project(gradients, weights)
        return losses[0]

    @torch.no_grad()
    def project(self, gradients: list[list[Tensor]], weights: Sequence[Tensor]) -> None:
        """g + sum of v_k r_k, as the gradient of the weights."""
        added = self.multipliers(gram(gradients))
        for number, weight in enumerate(weights):
            first = gradients[0][number]
            for v, other in zip(added, gradients[1:], strict=True):
                local(first).addcmul_(local(other[number]), v.to(first.dtype))
            weight.grad = first

    def multipliers(self, products: Tensor) -> Tensor:
        """v of each constraint, (k,), from the inner products (k + 1, k + 1) of g and the constraints' gradients."""
        if not isinstance(self.replay, GEM):
            return (-products[0, 1:].clamp(max=0) / products.diagonal()[1:].clamp(min=1e-30)).float()
        v = gem_multipliers(products.cpu().numpy(), self.replay.margin)
        return torch.tensor(v, dtype=torch.float32, device=products.device)


def set_aside(weights: Sequence[Tensor], gradients: list[Tensor]) -> None:
    """Let the next passes write elsewhere. Replicas (DDP) keep gradients in memory that the next exchange reuses."""
    if torch.distributed.is_initialized():
        gradients[:] = [g if isinstance(g, DTensor) else g.clone() for g in gradients]
    for weight in weights:
        weight.grad = None


def gem_multipliers(products: np.ndarray, margin: float) -> np.ndarray:
    """argmin over v >= margin of |G^T v + g|^2 / 2, (k,), from the inner products of g (first) and the rows of G.

    With v = margin + w: |A w - b|^2 for A the root of G G^T, a non-negative least squares problem.
    """
    inner, against = products[1:, 1:], products[1:, 0] + products[1:, 1:] @ np.full(len(products) - 1, margin)
    values, vectors = np.linalg.eigh(inner)
    values = np.maximum(values, 1e-12 * max(float(values.max()), 1e-300))
    root = np.sqrt(values)[:, None] * vectors.T
    return margin + nnls(root, -(vectors / np.sqrt(values)).T @ against)[0]


def gram(gradients: list[list[Tensor]]) -> Tensor:
    """(n, n) float64 inner products of n gradients over all weights and processes."""
    num = len(gradients)
    size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    total = torch.zeros(num, num, dtype=torch.float64, device=local(gradients[0][0]).device)
    sharded = False
    for each in zip(*gradients, strict=True):
        sharded |= isinstance(each[0], DTensor)
        copies = size / parts_of(each[0])  # processes that hold the same part
        for i in range(num):
            for j in range(i, num):
                product = (local(each[i]).double() * local(each[j]).double()).sum() / copies
                total[i, j] += product
    total = total + total.triu(1).T
    if size > 1:
        torch.distributed.all_reduce(total)
    return total


def parts_of(tensor: Tensor) -> int:
    """Into how many different parts a tensor is cut."""
    if not isinstance(tensor, DTensor):
        return 1
    cut = [tensor.device_mesh.size(d) for d, p in enumerate(tensor.placements) if isinstance(p, Shard)]
    return int(np.prod(cut)) if cut else 1
