"""torchao's 8-bit AdamW; on a CPU it runs as written, without the minute of compiling."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torchao.optim import AdamW8bit
from torchao.optim.subclass_8bit import OptimState8bit


@OptimState8bit.implements(torch.ops.aten.clone.default)
def _clone(func: Callable, types: tuple, args: tuple, kwargs: dict) -> OptimState8bit:
    """torchao has no copy of its states, which a copy of a state dict (in memory, asynchronous) needs."""
    state = args[0]
    return OptimState8bit(state.codes.clone(), state.scale.clone(), state.qmap.clone(), state.signed, state.dtype)


class EightBitAdamW(AdamW8bit):
    """Same arithmetic as torchao's; a GPU needs the compiled step, since as written it makes fp32 copies."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step."""
        on_cpu = all(p.device.type == "cpu" for group in self.param_groups for p in group["params"])
        with torch.compiler.set_stance("force_eager") if on_cpu else nullcontext():
            return super().step(closure)
