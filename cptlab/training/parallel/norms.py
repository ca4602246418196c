"""The global gradient norm where gradients lie in parts on the processes: equal to that of one process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """L2 norm () over all gradients of all processes.

    Tensors of different meshes (tensor parallel and not) cannot be stacked: each mesh is summed for itself.
    """
    import torch

    totals = [_whole(torch.nn.utils.get_total_norm(part)) for part in _by_mesh(parameters)]
    if len(totals) == 1:
        return totals[0]
    return torch.linalg.vector_norm(torch.stack(totals)) if totals else torch.zeros(())


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale all gradients so that their norm is at most `most`; returns the norm () before."""
    import torch

    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    total = gradient_norm(parameters)
    factor = (most / (total + 1e-6)).clamp(max=1.0)
    for part in _by_mesh(parameters):
        local = [gradient.to_local() if hasattr(gradient, "to_local") else gradient for gradient in part]  # type: ignore[operator]
        torch._foreach_mul_(local, factor.to(local[0].device))  # pyright: ignore[reportPrivateImportUsage]
    return total


def _by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[Tensor]]:
    groups: dict[object, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            groups.setdefault(getattr(parameter.grad, "device_mesh", None), []).append(parameter.grad)
    return list(groups.values())


def _whole(norm: Tensor) -> Tensor:
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # type: ignore[operator]
