"""Cross-entropy of a linear head, a chunk of tokens at a time: the logits of all tokens never exist together.

Gradients of a chunk are made in the forward pass, while its softmax is there (Cut Cross-Entropy, Wijmans et al. 2025;
Liger Kernel, Hsu et al. 2024): memory is one chunk of logits instead of (N, V).
Shapes: N tokens, D hidden width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

IGNORE = -100
CHUNK_LOGITS = {"cpu": 1 << 20, "cuda": 1 << 28}  # logits of one chunk: the cache of a core; .5 GB in bf16


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, labels_N: Tensor, scale_N: Tensor,
    z_loss: float = 0.0, chunk: int = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(sum of scale * (loss + z_loss * log^2 Z) with gradient, losses (N,) [nat] without), in fp32.

    Tokens with label IGNORE count nothing. scale_N carries token weights and 1 / number of tokens.
    chunk: tokens at a time; 0 = what fits the device.
    """
    with_grad = torch.is_grad_enabled()
    return _Loss.apply(hidden_ND, weight_VD, bias_V, labels_N, scale_N, z_loss, chunk, with_grad)  # type: ignore[return-value]


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, scale: Tensor,
        z_loss: float, chunk: int, with_grad: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        rows = chunk or max(64, CHUNK_LOGITS.get(device, 1 << 24) // weight.shape[0])
        head = weight.detach().to(dtype)
        offset = None if bias is None else bias.detach().to(dtype)
        wanted = [with_grad and needed for needed in ctx.needs_input_grad[:3]]
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted[2] and bias is not None else None
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        penalties = torch.zeros_like(losses)
        counted = labels != IGNORE
        target, scale = labels.clamp(min=0), torch.where(counted, scale, 0.0).float()
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            state = hidden[part].to(dtype)
            logits = torch.nn.functional.linear(state, head, offset).float()
            log_z = logits.logsumexp(-1)
            losses[part] = log_z - logits.gather(-1, target[part, None])[:, 0]
            penalties[part] = log_z.square()
            if not any(wanted):
                continue
            slope = scale[part] * (1 + 2 * z_loss * log_z)  # of log Z, from both terms
            grad = logits.sub_(log_z[:, None]).exp_().mul_(slope[:, None])
            grad.scatter_add_(-1, target[part, None], -scale[part, None])
            grad = grad.to(dtype)
            if grad_hidden is not None:
                grad_hidden[part] = (grad @ head).to(hidden.dtype)
            if grad_weight is not None:
                if dtype == torch.float32:
                    grad_weight.addmm_(grad.T, state)
                else:
                    grad_weight += grad.T @ state
            if grad_bias is not None:
                grad_bias += grad.float().sum(0)
        losses = torch.where(counted, losses, 0.0)
        total = (scale * losses).sum()
        if z_loss:
            total = total + z_loss * (scale * penalties).sum()
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(losses)
        return total, losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.saved_tensors
        upstream = grads[0]
        return (
            None if hidden is None else hidden * upstream.to(hidden.dtype),
            None if weight is None else (weight * upstream).to(ctx.dtypes[0]),
            None if bias is None else (bias * upstream).to(ctx.dtypes[1]),
            None, None, None, None, None,
        )  # fmt: skip


def cross_entropy_of_logits(
    logits_NV: Tensor, labels_N: Tensor, scale_N: Tensor, z_loss: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The same from logits that exist already: heads that are more than one matrix (soft caps, adapters)."""
    logits = logits_NV.float()
    scale = torch.where(labels_N != IGNORE, scale_N, 0.0).float()
    losses = torch.nn.functional.cross_entropy(logits, labels_N, reduction="none", ignore_index=IGNORE)
    total = (scale * losses).sum()
    if z_loss:
        total = total + z_loss * (scale * logits.logsumexp(-1).square()).sum()
    return total, losses.detach()
