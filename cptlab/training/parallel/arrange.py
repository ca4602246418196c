"""A network made ready for its machine, in the one order that works.

Tensor parallel, FP8, compile, checkpointing, sharding, weights: each works on what the one before left.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.training.parallel.strategy import is_sharded

if TYPE_CHECKING:
    import lightning as L

    from cptlab.training.machine import Machine
    from cptlab.training.network import Network


def arrange(network: Network, machine: Machine, trainer: L.Trainer, weights: Path | None = None) -> None:
    """In place, in the module's `configure_model`. weights: folder to fill a model on the meta device from."""
    strategy: Any = trainer.strategy
    model = network.inner[0]
    # A compiler fuses norms itself, and cannot lower the operator of the other on weights that are parameters.
    if machine.accelerator == "cpu" and machine.tensor_parallel == 1 and machine.compile == "none":
        from cptlab.training.cpu.linear import use_onednn
        from cptlab.training.cpu.rms_norm import use_cpu_norms

        use_onednn(model)
        use_cpu_norms(model)
    per_block = machine.compile != "none" or machine.activation_checkpointing != "none"
    if not (per_block or is_sharded(machine) or machine.precision == "fp8"):
        return
    from cptlab.training.parallel.blocks import blocks_of

    blocks = blocks_of(model)
    if machine.tensor_parallel > 1:
        from cptlab.training.parallel.tensor_parallel import split_matrices

        split_matrices(blocks, strategy.device_mesh["tensor_parallel"])
    if machine.precision == "fp8":
        from cptlab.training.parallel.fp8 import check_capability, to_fp8

        check_capability()
        to_fp8(blocks, is_sharded(machine))
    if machine.compile != "none":
        from cptlab.training.parallel.compile import compile_blocks

        compile_blocks(network, blocks, machine.compile)
    if machine.activation_checkpointing != "none":
        from cptlab.training.parallel.activation_checkpointing import checkpoint_blocks

        checkpoint_blocks(blocks, machine.activation_checkpointing)
    if is_sharded(machine):
        from cptlab.training.parallel.sharding import data_mesh, shard

        shard(network, blocks, data_mesh(machine, strategy.device_mesh), machine)
    if weights is not None:
        import torch

        from cptlab.training.parallel.streaming import stream_weights

        stream_weights(network, model, weights, torch.device("cpu") if machine.offload else strategy.root_device)
