"""torch's scaled_dot_product_attention on packed rows; also what the fused functions fall back on for padded ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def sdpa_attention() -> Callable:
    """The attention function that transformers calls: (module, query, key, value, mask, ...) -> (output, None).

    query (B, H, T, D), key and value (B, G, T, D) with H a multiple of G; output (B, T, H, D).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        is_causal: bool | None = None,
        sliding_window: int | None = None,
        document_lengths: tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        refuse_odd_scores("sdpa", kwargs)
        causal = sees_past_only(module, is_causal)
        if document_lengths is not None:
            whole = (query.to(value.dtype), key, value)
            return each_document(attend, module, whole, document_lengths, causal, sliding_window, kwargs), None
        if attention_mask is not None and attention_mask.numel() == 0:
            attention_mask = None
        length = query.shape[2]
        if sliding_window is not None and sliding_window < length == key.shape[2]:
            near = window(length, sliding_window, causal, query.device)
            attention_mask = near if attention_mask is None else attention_mask & near
        return sdpa_attention_forward(
            module, query.to(value.dtype), key.to(value.dtype), value, attention_mask, is_causal=causal, **kwargs
        )

    return attend


def each_document(
    attend: Callable, module: Any, whole: tuple[Tensor, ...], lengths: tuple[int, ...], causal: bool,
    sliding_window: int | None, kwargs: dict[str, Any],
) -> Tensor:  # fmt: skip
    """(B, T, H, D) from one call a document: none of the scores that a mask would hide is computed."""
    import torch

    rows, length = whole[0].shape[0], whole[0].shape[2]
    streams = [each.transpose(1, 2).flatten(0, 1).split(lengths) for each in whole]
    parts = [
        attend(module, *(part[None].transpose(1, 2) for part in parts), None, causal, sliding_window, **kwargs)[0][0]
        for parts in zip(*streams, strict=True)
    ]
    return torch.cat(parts).unflatten(0, (rows, length))


def window(length: int, size: int, causal: bool, device: Any) -> Tensor:
    """(T, T) bool: the last `size` tokens with one's own or, if not causal, also those as near after it."""
    import torch

    near = torch.ones(length, length, dtype=torch.bool, device=device).triu(1 - size)
    return near.tril(0 if causal else size - 1)


def sees_past_only(module: Any, is_causal: bool | None) -> bool:
    """What the call says, else what the layer is."""
    return getattr(module, "is_causal", True) if is_causal is None else is_causal


def refuse_odd_scores(backend: str, kwargs: dict[str, Any]) -> None:
    """UserError for scores that these functions would compute wrongly: soft-capped, with sinks or a bias."""
    for name in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise UserError(f"machine.attention={backend} knows no {name} of this model; take machine.attention=eager")


def require_boundaries(attention_mask: Tensor | None) -> None:
    """ValueError for the empty mask of packed rows when the boundaries that go with it did not arrive."""
    if attention_mask is not None and attention_mask.numel() == 0:
        raise ValueError("the model does not hand the boundaries of documents on to its attention")
