"""Gradient clipping by the global L2 norm, also where gradients are sharded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients so that their joint L2 norm is at most `max_norm` (0 = leave them); returns the norm before.

    The norm is that of the whole model on every rank: sharded gradients (DTensor) are summed over their mesh, and
    gradients of different meshes (or of none) are clipped by one common factor. Scalar, not a DTensor.
    """
    import torch
    from torch.distributed.tensor import DTensor
    from torch.nn.utils import clip_grads_with_norm_, get_total_norm

    # torch's foreach kernels take no mixture of meshes, so each mesh is one list.
    by_mesh: dict[object, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            mesh = parameter.grad.device_mesh if isinstance(parameter.grad, DTensor) else None
            by_mesh.setdefault(mesh, []).append(parameter)
    norms = []
    for members in by_mesh.values():
        norm = get_total_norm([p.grad for p in members if p.grad is not None])
        norms.append(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    if not norms:
        return torch.zeros(())
    total = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    if max_norm:
        for members in by_mesh.values():
            clip_grads_with_norm_(members, max_norm, total)
    return total


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """L2 norm () over all gradients of all processes; they stay as they are."""
    return clip_gradients(parameters, 0.0)
