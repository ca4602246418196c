"""Lightning's strategy, processes and precision for a machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cptlab.training.parallel.launch import joined_world

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy

    from cptlab.training.machine import Machine


def strategy_of(machine: Machine) -> str | Strategy:
    """`auto` for one process, else the strategy with the backend of the accelerator (gloo on a CPU)."""
    if machine.strategy == "single":
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

    backend = "gloo" if machine.accelerator == "cpu" else "nccl"
    if machine.strategy == "ddp":
        return DDPStrategy(process_group_backend=backend, gradient_as_bucket_view=True)

    class Sharded(ModelParallelStrategy):
        """FSDP2; with offload the weights stay where they wait, on the CPU."""

        def model_to_device(self) -> None:
            if not machine.offload:
                super().model_to_device()

    return Sharded(
        data_parallel_size=machine.world_size // machine.tensor_parallel, tensor_parallel_size=machine.tensor_parallel,
        process_group_backend="cpu:gloo,cuda:nccl" if machine.offload else backend,
    )  # fmt: skip


def plugins_of(machine: Machine) -> list[Any]:
    """Who started the processes: torchrun (or we, in its way), srun, or nobody; Lightning would guess.

    It takes any process of a SLURM job for one of srun's, and would requeue the job itself.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if machine.strategy != "single" and "RANK" in os.environ:
        return [TorchElasticEnvironment()]
    if joined_world() == 1:
        return [LightningEnvironment()]
    os.environ |= step_of_job(machine)
    return [SLURMEnvironment(auto_requeue=False)]


def step_of_job(machine: Machine) -> dict[str, str]:
    """The numbers of this srun under the names of its job, which Lightning reads.

    A step may be a part of its job, and several steps may share a machine: each has its own tasks and its own port.
    """
    env = os.environ
    job, step = (int(env.get(name) or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    found = {"SLURM_NTASKS": str(joined_world()), "SLURM_NNODES": str(machine.nodes),
             "SLURM_NTASKS_PER_NODE": str(machine.devices)}  # fmt: skip
    if nodes := env.get("SLURM_STEP_NODELIST"):
        found["SLURM_NODELIST"] = nodes
    return found | {"MASTER_PORT": env.get("MASTER_PORT") or str(15000 + (job + 101 * step) % 5000)}


def is_sharded(machine: Machine) -> bool:
    """Whether weights lie in parts on the processes."""
    return machine.strategy in ("fsdp", "hsdp")


def lightning_precision(machine: Machine) -> str:
    """Autocast over fp32 weights; under FSDP the sharding itself casts (`sharding.policy`), which halves its traffic.

    FP8 matrix products run inside bf16.
    """
    return "32-true" if machine.resolved_precision == "fp32" or is_sharded(machine) else "bf16-mixed"
