"""torch's own attention over documents of variable length: flash attention without another package."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from cptlab.training.attention.stream import Kernel, span

if TYPE_CHECKING:
    from torch import Tensor


def varlen_kernel() -> Kernel:
    """`torch.nn.attention.varlen.varlen_attn` behind one signature; older ones lack some of its arguments."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    grouped, scaled, windowed = (name in known for name in ("enable_gqa", "scale", "window_size"))

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
        if dropout:
            raise ValueError("varlen_attn has no dropout")
        extra: dict = {"window_size": span(causal, window)} if windowed else {"is_causal": causal}
        if window is not None and not windowed:
            raise ValueError("varlen_attn of this torch has no sliding window")
        if scaled:
            extra["scale"] = scale
        else:
            query = query * (scale * query.shape[-1] ** 0.5)
        if query.shape[1] != key.shape[1]:
            if grouped:
                extra["enable_gqa"] = True
            else:
                times = query.shape[1] // key.shape[1]
                key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        out = varlen_attn(query, key, value, starts, starts, longest, longest, **extra)
        return out[0] if isinstance(out, tuple) else out

    return attend
