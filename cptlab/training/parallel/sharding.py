"""FSDP2 and HSDP: every block and the root are sharded, gathered while they compute, and freed again.

Zhao et al. 2023 (arXiv 2304.11277); HSDP shards in a node and replicates across nodes, where the network is slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import MixedPrecisionPolicy

    from cptlab.training.machine import Machine


def data_mesh(machine: Machine, mesh: DeviceMesh) -> DeviceMesh:
    """The processes that share one copy of the weights; for HSDP (replicate = nodes, shard = devices).

    mesh: Lightning's, (data_parallel, tensor_parallel).
    """
    if machine.strategy != "hsdp":
        return mesh["data_parallel"]
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(mesh.device_type, (machine.nodes, machine.devices), mesh_dim_names=("replicate", "shard"))


def policy(machine: Machine, inputs: bool = True) -> MixedPrecisionPolicy:
    """Master weights fp32 in shards; blocks compute in bf16 from a bf16 gather, gradients are summed in fp32."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if machine.resolved_precision == "fp32":
        return MixedPrecisionPolicy(cast_forward_inputs=False)
    return MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=inputs)


def shard(network: nn.Module, blocks: list[nn.Module], mesh: DeviceMesh, machine: Machine) -> None:
    """In place; what is in no block (embeddings, last norm, head) goes with the root."""
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    offload = CPUOffloadPolicy() if machine.offload else OffloadPolicy()
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy(machine), offload_policy=offload)
    # The weights of tokens, an input of the root, stay fp32.
    fully_shard(network, mesh=mesh, mp_policy=policy(machine, inputs=False), offload_policy=offload)
