"""Attention over one stream of all documents of a batch, as varlen_attn and flash-attn take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cptlab.training.attention.sdpa import refuse_odd_scores, require_boundaries, sdpa_attention, sees_past_only

if TYPE_CHECKING:
    from torch import Tensor

# (query (N, H, D), key (N, G, D), value (N, G, D), starts (K + 1,), longest, scale, causal, window, dropout)
# -> (N, H, D), N = B T
Kernel = Callable[..., "Tensor"]


def stream_attention(backend: str, kernel: Kernel) -> Callable:
    """The attention function that transformers calls, around a kernel of variable lengths.

    Without cumulative lengths the rows are padded or generated ones: those go to sdpa with the mask they come with.
    """
    padded = sdpa_attention()

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        is_causal: bool | None = None,
        sliding_window: int | None = None,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int = 0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if cu_seq_lens_q is None:
            require_boundaries(attention_mask)
            return padded(
                module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, is_causal=is_causal,
                sliding_window=sliding_window, **kwargs,
            )  # fmt: skip
        refuse_odd_scores(backend, kwargs)
        # Under autocast the rotary embedding leaves queries and keys in fp32, values come in half precision.
        streams = (each.to(value.dtype).transpose(1, 2).flatten(0, 1) for each in (query, key, value))
        rows, heads, length, width = query.shape
        near = sliding_window if sliding_window is not None and sliding_window < length else None
        scale = width**-0.5 if scaling is None else scaling
        out = kernel(
            *streams, cu_seq_lens_q, max_length_q, scale, sees_past_only(module, is_causal), near, dropout
        )  # fmt: skip
        return out.view(rows, length, heads, -1), None

    return attend


def span(causal: bool, window: int | None, unlimited: Any = -1) -> tuple[Any, Any]:
    """(tokens to the left, tokens to the right) that a query sees besides its own."""
    left = unlimited if window is None else window - 1
    return left, 0 if causal else left
