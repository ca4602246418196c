"""torch.compile of each block; where it cannot, one line says so and the blocks run as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


class Compiled:
    """The compiled forward of one block. `given_up` is shared by all blocks of a model."""

    def __init__(self, forward: Callable, compiled: Callable, given_up: list[str]) -> None:
        self.forward, self.compiled, self.given_up = forward, compiled, given_up

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compiled, unless compiling has failed."""
        if self.given_up:
            return self.forward(*args, **kwargs)
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        try:
            return self.compiled(*args, **kwargs)
        except (TorchDynamoException, InductorError) as error:
            why = " ".join(str(error).split()).split(". ")[0][:200] or type(error).__name__
            self.given_up.append(why)
            print(f"machine.compile: blocks run uncompiled, because {why}", file=sys.stderr, flush=True)
            return self.forward(*args, **kwargs)


def compile_blocks(network: nn.Module, blocks: list[nn.Module], mode: str) -> None:
    """In place: `blocks` compiles each block's forward; `max_autotune` also searches kernels, on a GPU in CUDA graphs.

    Equal blocks share one compilation. Hooks of FSDP stay outside.
    """
    import torch

    given_up: list[str] = []
    torch_mode = "max-autotune" if mode == "max_autotune" else None
    for block in blocks:
        forward = block.forward
        block.forward = Compiled(forward, torch.compile(forward, mode=torch_mode), given_up)
    if mode == "max_autotune":
        # CUDA graphs reuse their outputs' memory from one pass of the network to the next, not within it.
        network.register_forward_pre_hook(lambda *_: torch.compiler.cudagraph_mark_step_begin())
