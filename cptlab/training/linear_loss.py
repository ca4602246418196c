"""Cross-entropy of a linear head, a chunk of tokens at a time: the logits of all tokens never exist together.

Gradients of a chunk are made in the forward pass, while its softmax is there (Cut Cross-Entropy, Wijmans et al. 2025;
Liger Kernel, Hsu et al. 2024): memory is one chunk of logits instead of (N, V).
Shapes: N tokens, D hidden width, V vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cptlab.training.cpu.linear import product, suits

IGNORE = -100
CHUNK_LOGITS = {"cpu": 1 << 21, "cuda": 1 << 29}  # logits of one chunk: 8 MB in fp32, measured; 1 GB in bf16


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
        rows = even_chunk(len(hidden), chunk or max(64, CHUNK_LOGITS.get(device, 1 << 24) // weight.shape[0]))
        head = weight.detach().to(dtype)
        offset = None if bias is None else bias.detach().to(dtype)
        wanted = [with_grad and needed for needed in ctx.needs_input_grad[:3]]
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted[2] and bias is not None else None
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        log_z = torch.empty_like(losses)
        counted = labels != IGNORE
        target, scale = labels.clamp(min=0), torch.where(counted, scale, 0.0).float()
        passes = fused_passes() if device == "cuda" else eager_passes
        memory = hidden.new_empty((min(rows, len(hidden)), len(weight)), dtype=dtype)  # of the logits of every chunk
        by_onednn = device == "cpu" and suits(hidden, head)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            state = hidden[part].to(dtype)
            logits = torch.mm(state, head.T, out=memory[: len(state)])
            if offset is not None:
                logits += offset
            losses[part], log_z[part], grad = passes(logits, target[part], scale[part], z_loss, any(wanted))
            if grad is None:
                continue
            if grad_hidden is not None:
                grad_hidden[part] = product(grad, head.T) if by_onednn else grad @ head
            if grad_weight is not None:
                if dtype == torch.float32:
                    grad_weight.addmm_(grad.T, state)
                else:
                    grad_weight += grad.T @ state
            if grad_bias is not None:
                grad_bias += grad.sum(0, dtype=torch.float32)
        losses = torch.where(counted, losses, 0.0)
        total = (scale * losses).sum()
        if z_loss:
            total = total + z_loss * (scale * log_z.square()).sum()
        ctx.gradients = grad_hidden, grad_weight, grad_bias
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(losses)
        return total, losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of linear_cross_entropy were handed out before: it has one backward pass")
        scaled = [  # in place: that of the head may be the largest tensor of a step
            None if gradient is None else gradient.mul_(grads[0]).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return *scaled, None, None, None, None, None


def even_chunk(tokens: int, rows: int) -> int:
    """At most `rows`, as even as can be: a compiled function then sees one shape where it divides."""
    return -(-max(tokens, 1) // max(1, -(-tokens // rows)))


Passes = tuple[Tensor, Tensor, Tensor | None]


def eager_passes(logits: Tensor, target: Tensor, scale: Tensor, z_loss: float, with_grad: bool) -> Passes:
    """(losses (n,), log Z (n,), gradient of the logits (n, V) in their type) of a chunk; its logits are overwritten.

    In place, with one exponential: on a CPU a new (n, V) costs more than a pass over an old one.
    """
    work = logits.float()  # the logits themselves in fp32
    highest = work.amax(-1)
    chosen = work.gather(-1, target[:, None])[:, 0]
    total = work.sub_(highest[:, None]).exp_().sum(-1)
    log_z = highest + total.log()
    if not with_grad:
        return log_z - chosen, log_z, None
    slope = scale * (1 + 2 * z_loss * log_z)  # of log Z, from both terms
    grad = work.mul_((slope / total)[:, None]).scatter_add_(-1, target[:, None], -scale[:, None])
    return log_z - chosen, log_z, grad.to(logits.dtype)


def plain_passes(logits: Tensor, target: Tensor, scale: Tensor, z_loss: float, with_grad: bool) -> Passes:
    """The same as a formula, for a compiler: it reads the logits twice and writes the gradient once, in bf16."""
    work = logits.float()
    log_z = work.logsumexp(-1)
    losses = log_z - work.gather(-1, target[:, None])[:, 0]
    if not with_grad:
        return losses, log_z, None
    slope = scale * (1 + 2 * z_loss * log_z)
    hit = torch.arange(work.shape[-1], device=work.device) == target[:, None]
    grad = (work - log_z[:, None]).exp() * slope[:, None] - torch.where(hit, scale[:, None], 0.0)
    return losses, log_z, grad.to(logits.dtype)


@functools.cache
def fused_passes() -> Callable[..., Passes]:
    """`plain_passes` compiled; `eager_passes` where torch cannot compile."""
    from cptlab.training.parallel.compile import Compiled

    return Compiled(eager_passes, torch.compile(plain_passes), [], "the loss runs")


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
