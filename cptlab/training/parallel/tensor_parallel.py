"""Tensor parallelism of Llama-like blocks: heads and feed-forward columns shared out (Shoeybi et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from torch.distributed.device_mesh import DeviceMesh

COLUMNS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
ROWS = ("self_attn.o_proj", "mlp.down_proj")


def split_matrices(blocks: list[nn.Module], mesh: DeviceMesh) -> None:
    """In place: two all-reduces a block and direction. mesh: the processes that share each matrix."""
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    from torch.distributed.tensor.parallel.style import ParallelStyle

    check_blocks(blocks, mesh.size())
    for block in blocks:
        plan: dict[str, ParallelStyle] = {name: ColwiseParallel() for name in COLUMNS}
        plan |= {name: RowwiseParallel() for name in ROWS}
        parallelize_module(block, mesh, plan)


def check_blocks(blocks: list[nn.Module], size: int) -> None:
    """UserError for a block that has other matrices, or heads that `size` processes cannot share evenly."""
    for block in blocks:
        names = {name for name, _ in block.named_modules()}
        missing = sorted({*COLUMNS, *ROWS} - names)
        if missing:
            raise UserError(
                f"machine.tensor_parallel knows Llama-like blocks only ({type(block).__name__} has no {missing[0]});"
                " use machine.tensor_parallel=1"
            )
        for name in COLUMNS:
            rows = block.get_submodule(name).weight.shape[0]  # type: ignore[union-attr]
            head = getattr(block.self_attn, "head_dim", 1) if name.startswith("self_attn") else 1
            if rows % (head * size):  # type: ignore[operator]
                raise UserError(
                    f"machine.tensor_parallel={size} does not divide {name} ({rows // head}"  # type: ignore[operator]
                    f" {'heads' if head > 1 else 'columns'}); use a divisor"  # type: ignore[operator]
                )
