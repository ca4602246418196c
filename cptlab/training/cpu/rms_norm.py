"""RMS norm with a hand-written gradient, which makes fewer tensors forward and back than eager torch does.

y = w * x / rms(x), rms(x) = sqrt(mean(x^2) + eps) (Zhang and Sennrich 2019, eq. 4). Shapes: x (..., D), w (D,).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.models.llama.modeling_llama import LlamaRMSNorm

SMALLEST = 128  # D at least: no gain was measured below (`benchmarks/cpu_kernels.py`)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        inverse = mean_square.add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return (x * inverse).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        unit = x * inverse
        product = grad * unit
        of_weight = product.reshape(-1, x.shape[-1]).sum(0) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight, None
        along = (product @ weight).div_(x.shape[-1]).unsqueeze(-1)  # mean over D of g * w * x / rms
        of_x = torch.mul(grad, weight).sub_(unit.mul_(along)).mul_(inverse)
        return of_x, of_weight, None


class CpuRMSNorm(LlamaRMSNorm):
    """Llama's norm with that gradient in fp32; the same names, shapes and weights."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if hidden_states.dtype == self.weight.dtype == torch.float32 and type(self.weight) in (Tensor, nn.Parameter):
            return _RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon)  # type: ignore[return-value]
        return super().forward(hidden_states)


def use_cpu_norms(model: nn.Module) -> None:
    """Let every norm of a Llama do so, in place."""
    for module in model.modules():
        if type(module) is LlamaRMSNorm and len(module.weight) >= SMALLEST:
            module.__class__ = CpuRMSNorm
