"""Activation checkpointing: a block keeps its input alone and computes again in the backward pass.

Chen et al. 2016 (arXiv 1604.06174).
"""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def checkpoint_blocks(blocks: list[nn.Module], mode: str) -> None:
    """In place: `full` every block, `selective` every second one (half the memory for half the extra time).

    The forward is replaced, not the module: names of weights stay, and hooks of FSDP stay outside.
    """
    from torch.utils.checkpoint import checkpoint

    for block in blocks[:: {"full": 1, "selective": 2}[mode]]:
        inner = block.forward

        @wraps(inner)
        def forward(*args, inner=inner, block=block, **kwargs):
            if not block.training:
                return inner(*args, **kwargs)
            return checkpoint(partial(inner, **kwargs), *args, use_reentrant=False)

        block.forward = forward
