"""torchao's 8-bit AdamW; on a CPU it runs as written, without the minute of compiling."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torchao.optim import AdamW8bit


class EightBitAdamW(AdamW8bit):
    """Same arithmetic as torchao's; a GPU needs the compiled step, since as written it makes fp32 copies."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step."""
        on_cpu = all(p.device.type == "cpu" for group in self.param_groups for p in group["params"])
        with torch.compiler.set_stance("force_eager") if on_cpu else nullcontext():
            return super().step(closure)
