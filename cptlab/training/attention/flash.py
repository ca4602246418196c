"""Flash attention 2, 3 and 4 from their own packages; a package that is absent is never fetched."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cptlab.training.attention.stream import Kernel, span

if TYPE_CHECKING:
    from torch import Tensor

VERSIONS = {
    "flash_attention_2": "flash_attn",
    "flash_attention_3": "flash_attn_interface",
    "flash_attention_4": "flash_attn.cute",
}


def flash_kernel(name: str) -> Kernel:
    """`flash_attn_varlen_func` of one generation behind one signature. ImportError if its package is absent."""
    call = import_module(VERSIONS[name]).flash_attn_varlen_func

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        starts: Tensor,
        longest: int,
        scale: float,
        causal: bool,
        window: int | None,
        dropout: float,
    ) -> Tensor:
        extra: dict = {} if window is None else {"window_size": span(causal, window)}
        if dropout:
            if name != "flash_attention_2":
                raise ValueError(f"{name} has no dropout")
            extra["dropout_p"] = dropout
        out = call(
            query, key, value, cu_seqlens_q=starts, cu_seqlens_k=starts, max_seqlen_q=longest, max_seqlen_k=longest,
            softmax_scale=scale, causal=causal, **extra,
        )  # fmt: skip
        return out[0] if isinstance(out, tuple) else out  # generations 3 and 4 may return the log-sum-exp too

    return attend
