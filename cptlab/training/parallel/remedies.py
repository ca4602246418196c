"""Settings that take less memory, of those that this run could be started with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

PRESET = 8  # devices of machine=fsdp


def remedies(config: TrainConfig, largest: str, measuring: bool = False) -> list[str]:
    """Three overrides, or more general changes, those against the largest consumer first.

    measuring: of an evaluation, whose passes are shortened before anything else.
    """
    activations, states = of_activations(config), of_states(config)
    first, then = (activations, states) if largest in ("activations", "logits", "evaluation") else (states, activations)
    first = [*of_evaluation(config), *first] if measuring else first
    offered = [text for text, changes in [*first, *then] if is_accepted(config, changes)]
    return [*offered, "a shorter data.sequence_length", "a smaller model", "a smaller vocabulary"][:3]


def is_accepted(config: TrainConfig, changes: dict[str, Any]) -> bool:
    """Whether the configuration with other fields passes its own checks, which know of libraries and combinations.

    changes: field -> the fields of its variant to change, or another variant.
    """
    try:
        new = {name: replace(getattr(config, name), **each) if isinstance(each, dict) else each()
               for name, each in changes.items()}  # fmt: skip
        replace(config, **new)
    except UserError:
        return False
    return True


def of_activations(config: TrainConfig) -> list[tuple[str, dict[str, Any]]]:
    """(what to write, what it changes): shorter passes, recomputation."""
    machine, found = config.machine, []
    passes = machine.micro_rows or config.rows_per_step * machine.tensor_parallel // machine.world_size
    if passes > 1:
        half = max(1, passes // 2)
        found.append((f"machine.micro_rows={half}", {"machine": {"micro_rows": half}}))
    if machine.activation_checkpointing != "full":
        changed = {"activation_checkpointing": "full"}
        found.append(("machine.activation_checkpointing=full", {"machine": changed}))
    return found


def of_evaluation(config: TrainConfig) -> list[tuple[str, dict[str, Any]]]:
    """(what to write, what it changes): shorter passes of the evaluation."""
    rows = config.evaluation_rows
    fewer = max(1, rows // 4)
    return [(f"evaluation.batch_rows={fewer}", {"evaluation": {"batch_rows": fewer}})] if rows > 1 else []


def of_states(config: TrainConfig) -> list[tuple[str, dict[str, Any]]]:
    """(what to write, what it changes): shards, offload, states of 8 bits, adapters."""
    from cptlab.adapters.lora import LoRA
    from cptlab.adapters.qlora import QLoRA
    from cptlab.optimizers.adamw8bit import AdamW8bit

    machine, found = config.machine, []
    is_sharded = machine.strategy in ("fsdp", "hsdp")
    most = shards_here(config)
    if most > (machine.devices if is_sharded else 1):
        changed = {"machine": {"devices": most} if is_sharded else {"strategy": "fsdp", "devices": most}}
        devices = "" if most == PRESET and not is_sharded else f"machine.devices={most}"
        found.append((" ".join(filter(None, ["" if is_sharded else "machine=fsdp", devices])), changed))
    if is_sharded and not machine.offload:
        found.append(("machine.offload=true", {"machine": {"offload": True}}))
    if config.optimizer.state_bytes > AdamW8bit.state_bytes:
        found.append(("optimizer=adamw8bit", {"optimizer": AdamW8bit}))
    adapter = config.adapter.identity().get("variant", "")
    if not adapter:
        found.append(("adapter=lora", {"adapter": LoRA}))
    elif adapter != "qlora":
        found.append(("adapter=qlora", {"adapter": QLoRA}))
    return found


def shards_here(config: TrainConfig) -> int:
    """Most GPUs of this machine, up to the preset's, that can share the rows of a step; 0 without GPUs.

    Processes on a CPU share one memory: shards would save none of it.
    """
    machine = config.machine
    if machine.accelerator != "gpu" or machine.nodes > 1 or machine.tensor_parallel > 1:
        return 0
    import torch

    known = range(min(torch.cuda.device_count(), PRESET), 0, -1)
    return next(
        (n for n in known if config.rows_per_step % n == 0 and machine.micro_rows <= config.rows_per_step // n), 0
    )
