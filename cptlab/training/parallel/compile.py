"""torch.compile of blocks and loss; where it cannot, one line says so and they run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


class Compiled:
    """A function and its compiled self. given_up: shared by all that end compiling together; what: their name."""

    def __init__(self, forward: Callable, compiled: Callable, given_up: list[str], what: str) -> None:
        self.forward, self.compiled, self.given_up, self.what = forward, compiled, given_up, what

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compiled, unless compiling has failed."""
        if self.given_up:
            return self.forward(*args, **kwargs)
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        from cptlab.training.parallel.ranks import is_first_process
        from cptlab.training.progress import say_line

        try:
            return self.compiled(*args, **kwargs)
        except (TorchDynamoException, InductorError) as error:
            why = " ".join(str(error).split()).split(". ")[0][:200] or type(error).__name__
            self.given_up.append(why)
            if is_first_process():
                say_line(f"machine.compile: {self.what} uncompiled, because {why}")
            return self.forward(*args, **kwargs)


def compile_blocks(network: nn.Module, blocks: list[nn.Module], mode: str) -> None:
    """In place: `blocks` compiles each block's forward; `max_autotune` also searches kernels, on a GPU in CUDA graphs.

    Equal blocks share one compilation. Hooks of FSDP stay outside. Blocks that are compiled already stay as they are:
    a model may be trained several times.
    """
    import torch
    import torch._functorch.config as ahead_of_time

    if hasattr(ahead_of_time, "force_non_lazy_backward_lowering"):
        # Else the backward pass is compiled in the first one, outside `Compiled`, where nothing could fall back.
        ahead_of_time.force_non_lazy_backward_lowering = True  # type: ignore[assignment]
    given_up: list[str] = []
    torch_mode = "max-autotune" if mode == "max_autotune" else None
    for block in blocks:
        forward = block.forward
        if isinstance(forward, Compiled):
            continue
        block.forward = Compiled(forward, torch.compile(forward, mode=torch_mode), given_up, "blocks run")
    if mode == "max_autotune":
        # CUDA graphs reuse their outputs' memory from one pass of the network to the next, not within it.
        network.register_forward_pre_hook(lambda *_: torch.compiler.cudagraph_mark_step_begin())
