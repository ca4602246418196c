"""FP8 matrix products of the blocks through torchao, on GPUs that have them.

Micikevicius et al. 2022 (arXiv 2209.05433).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from cptlab.training.machine import Machine

CAPABILITY = (8, 9)  # Ada, Hopper and later
UNIT = 16  # what the sides of an FP8 product are multiples of (torch._scaled_mm)


def check_fp8(machine: Machine) -> None:
    """UserError where torchao is missing, or (once torch is loaded) the GPU has no FP8; the alternative is bf16."""
    if machine.resolved_precision != "fp8":
        return
    if find_spec("torchao") is None:
        raise UserError("machine.precision=fp8 needs torchao: `pip install torchao`, or use machine.precision=bf16")


def check_pass(machine: Machine, rows_per_step: int, sequence_length: int) -> None:
    """UserError for passes whose tokens are no multiple of UNIT: the product for a weight's gradient sums over them."""
    if machine.resolved_precision != "fp8":
        return
    own = rows_per_step * machine.tensor_parallel // machine.world_size
    size = min(machine.micro_rows or own, own)
    for rows in (size, own % size):
        if rows * sequence_length % UNIT:
            raise UserError(
                f"machine.precision=fp8 takes passes of a multiple of {UNIT} tokens; one of {rows} rows of"
                f" data.sequence_length={sequence_length} has {rows * sequence_length}: make the length a multiple of"
                f" {UNIT}, or use machine.precision=bf16"
            )


def check_capability() -> None:
    """UserError for a GPU without FP8 units."""
    import torch

    found = torch.cuda.get_device_capability()
    if found < CAPABILITY:
        raise UserError(
            f"machine.precision=fp8 needs compute capability 8.9 or more; {torch.cuda.get_device_name()} has"
            f" {found[0]}.{found[1]}: use machine.precision=bf16"
        )


def to_fp8(blocks: list[nn.Module], sharded: bool, emulate: bool = False) -> int:
    """In place: the matrices of the blocks whose sides are multiples of UNIT, scaled per tensor; returns their number.

    Norms, embeddings and head stay in bf16. Under FSDP the weights travel in FP8 too. emulate: round to FP8 and
    multiply in the inputs' type, which any device can: for tests.
    """
    from torch import nn
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    def fits(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and not (module.in_features % UNIT or module.out_features % UNIT)

    config = Float8LinearConfig(enable_fsdp_float8_all_gather=sharded, emulate=emulate)
    for block in blocks:
        convert_to_float8_training(block, config=config, module_filter_fn=fits)
    return sum(type(module).__name__ == "Float8Linear" for block in blocks for module in block.modules())
