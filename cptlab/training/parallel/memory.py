"""Out of memory, said so that a reader knows what to change: what took how much, and three settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

GB = 1e9
# Bytes per token and unit of width that a block keeps for its backward pass, 16-bit, attention scores never whole:
# 34 (Korthikanti et al. 2022, arXiv 2205.05198, sec. 4.1, without the 5 a s / h of the scores); its input alone: 2.
BLOCK_BYTES, INPUT_BYTES = 34, 2


def is_out_of_memory(error: BaseException) -> bool:
    """torch raises its own class on a GPU, a plain RuntimeError of the allocator on a CPU."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def estimate(config: TrainConfig, params: int, width: int, depth: int) -> dict[str, float]:
    """{consumer: bytes on one process}: fp32 weights and gradients, optimizer states, activations of one pass."""
    machine = config.machine
    shards = {"fsdp": machine.world_size, "hsdp": machine.devices}.get(machine.strategy, machine.tensor_parallel)
    rows = config.rows_per_step * machine.tensor_parallel // machine.world_size
    tokens = min(machine.micro_rows or rows, rows) * config.data.sequence_length
    wide = 2 if machine.resolved_precision == "fp32" else 1
    whole = {"none": depth, "selective": depth / 2, "full": 1}[machine.activation_checkpointing]
    kept = whole * BLOCK_BYTES + (depth - whole) * INPUT_BYTES
    states = 2 if "8bit" in config.optimizer.variant_name else 8  # type: ignore[attr-defined]
    return {
        "weights": 4 * params / shards,
        "gradients": 4 * params / shards,
        "optimizer states": states * params / shards,
        "activations": wide * tokens * width * kept,
    }


def out_of_memory(config: TrainConfig, params: int, model_config: Any) -> str:
    """One sentence: the largest consumers first, then three settings that help, the gentlest first."""
    width = getattr(model_config, "hidden_size", 0)
    bytes_of = estimate(config, params, width, getattr(model_config, "num_hidden_layers", 0))
    largest = sorted(bytes_of.items(), key=lambda entry: -entry[1])
    consumers = ", ".join(f"{name} {size / GB:.3g} GB" for name, size in largest)
    return f"out of memory; estimated for one process: {consumers}. Try {', '.join(settings(config, largest[0][0]))}"


def settings(config: TrainConfig, largest: str) -> list[str]:
    """Three overrides that this run does not use yet, those against the largest consumer first."""
    machine = config.machine
    rows = config.rows_per_step * machine.tensor_parallel // machine.world_size
    passes = machine.micro_rows or rows
    activations = [
        *([f"machine.micro_rows={max(1, passes // 2)}"] if passes > 1 else []),
        *(["machine.activation_checkpointing=full"] if machine.activation_checkpointing != "full" else []),
    ]
    sharded = machine.strategy in ("fsdp", "hsdp")
    states = [
        *(["machine=fsdp"] if not sharded else []),
        *(["machine.offload=true"] if sharded and not machine.offload and machine.accelerator == "gpu" else []),
        *(["more machine.devices"] if sharded else []),
        *(["optimizer=adamw8bit"] if "8bit" not in config.optimizer.variant_name else []),  # type: ignore[attr-defined]
    ]
    first, then = (activations, states) if largest == "activations" else (states, activations)
    rest = [*first, *then, "a shorter data.sequence_length", "a smaller model"]
    return rest[:3]
