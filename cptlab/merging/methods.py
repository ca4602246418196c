"""Merging as pure functions of one tensor of each model, in float64.

With tau = theta - theta_base, all but SLERP are theta_base + a sum of scaled tau: linear averages models, a chat
vector (which is the instruct residual of CPT) adds one tau to another, TIES first drops what is small or disagrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PARALLEL = 0.9995  # cosine beyond which an arc is a line, as in mergekit


def linear(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """sum_i w_i theta_i (model soups, Wortsman et al. 2022, arXiv 2203.05482). Any shape, all alike."""
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + tensor * weight
    return total


def chat_vector(adapted: Tensor, instruct: Tensor, base: Tensor, weight: float = 1.0) -> Tensor:
    """theta_adapted + w (theta_instruct - theta_base).

    Chat vector: Huang et al. 2023, arXiv 2310.04799. Instruct residual: Jindal et al. 2024, arXiv 2410.10739.
    """
    return adapted + weight * (instruct - base)


def slerp(one: Tensor, other: Tensor, t: float) -> Tensor:
    """[sin((1-t) a) one + sin(t a) other] / sin a, a the angle between them (Shoemake 1985); each tensor is a vector.

    A line where they are nearly parallel, or where one is zero.
    """
    import torch

    lengths = torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other)
    cosine = float((one * other).sum() / lengths) if lengths > 0 else 1.0
    if abs(cosine) > PARALLEL:
        return linear([one, other], [1 - t, t])
    angle = torch.arccos(torch.tensor(cosine, dtype=one.dtype))
    weights = torch.sin((1 - t) * angle), torch.sin(t * angle)
    return (weights[0] * one + weights[1] * other) / torch.sin(angle)


def ties(base: Tensor, tensors: Sequence[Tensor], density: float, scale: float = 1.0) -> Tensor:
    """theta_base + scale * mean over the models that agree, after trimming (Yadav et al. 2023, arXiv 2306.01708).

    Trim: of each tau the `density` share of largest size stays. Elect: the sign of their sum. Merge: the mean of the
    tau that have it. Trimming is by tensor here, as a model is never in memory whole; the paper's is by model.
    """
    import torch

    deltas = torch.stack([trimmed(tensor - base, density) for tensor in tensors])
    sign = torch.sign(deltas.sum(0))
    agreeing = torch.where(torch.sign(deltas) == sign, deltas, 0.0)
    count = (agreeing != 0).sum(0).clamp(min=1)
    return base + scale * agreeing.sum(0) / count


def trimmed(delta: Tensor, density: float) -> Tensor:
    """`delta` with all but its `density` share of largest absolute values at 0; equal ones stay or go together."""
    keep = max(1, round(density * delta.numel()))
    if keep >= delta.numel():
        return delta
    threshold = delta.abs().flatten().kthvalue(delta.numel() - keep + 1).values
    return delta.where(delta.abs() >= threshold, 0.0)
