"""Matrix products of linear layers by oneDNN, where torch would take MKL: fp32, on a CPU, matrices of 128 or more.

Torch sends fp32 products to MKL alone. On an AMD EPYC with AVX-512 oneDNN makes X W^T and G W 1.07 to 1.37 times as
fast from 128 on and small ones slower (`benchmarks/cpu_kernels.py`); G^T X, which was not faster, stays with torch.
Shapes: X (..., K), W (N, K), G (..., N).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

SMALLEST = 128  # N and K at least


@functools.cache
def has_onednn() -> bool:
    """Whether this build of torch can call it. (The operator is what torch's own compiler emits.)"""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X W^T + b. fp32 on a CPU."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether X W^T is one of those that are faster. Sharded or quantised weights are not plain tensors."""
    return (
        min(weight.shape) >= SMALLEST
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and type(weight) in (Tensor, nn.Parameter)
        and not torch.is_autocast_enabled("cpu")
        and has_onednn()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        of_x = product(grad, weight.T) if ctx.needs_input_grad[0] else None
        of_weight = flat.T @ x.reshape(-1, x.shape[-1]) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, flat.sum(0) if ctx.needs_input_grad[2] else None


class OneDnnLinear(nn.Linear):
    """`nn.Linear` whose products are made by oneDNN where that is faster; the same names, shapes and weights."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., K) -> (..., N)."""
        if suits(input, self.weight):
            return _Linear.apply(input, self.weight, self.bias)  # type: ignore[return-value]
        return super().forward(input)


def use_onednn(model: nn.Module) -> int:
    """Let every plain linear layer of the model do so, in place; the number of those that will.

    Not the head: the loss takes its matrix and makes the logits a chunk at a time.
    """
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    linear = [each for each in model.modules() if type(each) is nn.Linear and each is not head]
    plain = [each for each in linear if min(each.weight.shape) >= SMALLEST]
    for module in plain:
        module.__class__ = OneDnnLinear
    return len(plain)
