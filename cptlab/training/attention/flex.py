"""torch's flex_attention with a block mask: blocks of 128 x 128 tokens that no document spans are skipped."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.training.attention.sdpa import refuse_odd_scores, require_boundaries, sdpa_attention

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.attention.flex_attention import BlockMask


def flex_attention() -> Callable:
    """The attention function that transformers calls; shapes as in sdpa. Rows without a block mask go to sdpa."""
    padded = sdpa_attention()

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        block_mask: BlockMask | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if block_mask is None:
            require_boundaries(attention_mask)
            return padded(
                module, query, key, value, attention_mask, scaling=scaling, dropout=dropout,
                sliding_window=sliding_window, **kwargs,
            )  # fmt: skip
        refuse_odd_scores("flex", kwargs)
        if dropout:
            raise ValueError("flex attention has no dropout")
        if sliding_window is not None and sliding_window < query.shape[2]:
            raise UserError("machine.attention=flex makes no sliding window; take machine.attention=sdpa")
        times = query.shape[1] // key.shape[1]
        if times & (times - 1):  # its kernels share keys among a power of two of heads
            key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        out = call(query.device.type)(
            query.to(value.dtype), key.to(value.dtype), value, block_mask=block_mask, scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
        return out.transpose(1, 2).contiguous(), None

    return attend


def call(device_type: str) -> Callable:
    """flex_attention as it is within a graph that is being compiled, compiled alone on a GPU, the slow one on a CPU."""
    import torch
    from torch.nn.attention import flex_attention as flex

    if torch.compiler.is_compiling():
        return flex.flex_attention
    return compiled() if device_type == "cuda" else quiet(flex.flex_attention)


@functools.cache
def compiled() -> Callable:
    """One fused kernel for all layers and batches of a shape."""
    import torch
    from torch.nn.attention.flex_attention import flex_attention as function

    return torch.compile(function, dynamic=False)


def quiet(function: Callable) -> Callable:
    """Without torch's warning that the uncompiled function makes the whole matrix of scores."""

    def silent(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
            return function(*args, **kwargs)

    return silent
