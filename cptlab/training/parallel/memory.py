"""Out of memory, said so that a reader knows what to change: what took how much, and three settings."""

from __future__ import annotations

from dataclasses import dataclass
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from cptlab.training.parallel.remedies import remedies

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.records.run import RunFacts

GB = 1e9
# Bytes per token and unit of width that a block keeps for its backward pass, 16-bit, attention scores never whole:
# 34 (Korthikanti et al. 2022, arXiv 2205.05198, sec. 4.1, without the 5 a s / h of the scores); its input alone: 2.
BLOCK_BYTES, INPUT_BYTES = 34, 2
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")  # of the CPU, CUDA and NCCL, cuBLAS
PASS_BYTES = 24  # of a pass without a backward one, the widest block alone: about 12 widths (residual, norm, SwiGLU)


@dataclass(frozen=True)
class Sizes:
    """hidden: parameters without embeddings and head, ends: theirs, trained: all that get a gradient, an adapter's."""

    hidden: int
    ends: int
    trained: int
    width: int
    depth: int
    vocab_size: int


def is_out_of_memory(error: BaseException) -> bool:
    """torch raises its own class on a GPU, a plain RuntimeError of the allocator on a CPU, of a library on a GPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def estimate(config: TrainConfig, sizes: Sizes) -> dict[str, float]:
    """{consumer: bytes on one process}; activations and evaluation: of one pass."""
    machine, adapter = config.machine, config.adapter
    shards = {"fsdp": machine.world_size, "hsdp": machine.devices}.get(machine.strategy, machine.tensor_parallel)
    rows = config.rows_per_step * machine.tensor_parallel // machine.world_size
    tokens = min(machine.micro_rows or rows, rows) * config.data.sequence_length
    wide = 2 if machine.resolved_precision == "fp32" else 1
    whole = {"none": sizes.depth, "selective": sizes.depth / 2, "full": 1}[machine.activation_checkpointing]
    kept = whole * BLOCK_BYTES + (sizes.depth - whole) * INPUT_BYTES
    trained_ends = sizes.ends if adapter.trains_ends else 0
    beside = sizes.trained - trained_ends if adapter.identity() else 0  # an adapter's own weights
    weights = adapter.base_bytes * sizes.hidden + 4 * (sizes.ends + beside)
    states = config.optimizer.all_state_bytes(sizes.trained - trained_ends, trained_ends)
    return {
        "weights": weights / shards,
        "gradients": 4 * sizes.trained / shards,
        "optimizer states": states / shards,
        "activations": wide * tokens * sizes.width * kept,
        "logits": logits(config, sizes, tokens, wide),
        "evaluation": wide * config.evaluation_rows * config.data.sequence_length * sizes.width * PASS_BYTES,
    }


def logits(config: TrainConfig, sizes: Sizes, tokens: int, wide: int) -> float:
    """Bytes of a chunk of logits and its gradient, and of the fp32 gradient of the head summed over chunks."""
    from cptlab.training.linear_loss import CHUNK_LOGITS

    chunk = CHUNK_LOGITS["cuda" if config.machine.accelerator == "gpu" else "cpu"]
    head = 4 * sizes.vocab_size * sizes.width if config.adapter.trains_ends else 0
    return 2 * 2 * wide * min(chunk, tokens * sizes.vocab_size) + head


def is_measuring(error: BaseException) -> bool:
    """Whether it was raised within an evaluation, where nothing is kept for a backward pass."""
    from cptlab.training.evaluate import measure

    return any(frame.f_code is measure.__wrapped__.__code__ for frame, _ in walk_tb(error.__traceback__))


def out_of_memory(
    config: TrainConfig, facts: RunFacts, model_config: Any, measuring: bool = False, updated: bool = True
) -> str:
    """One sentence: the largest consumers first, then settings that help and fit the run, the gentlest first.

    measuring: it was an evaluation that found no memory; updated: the optimizer has states.
    """
    text = model_config.get_text_config() if hasattr(model_config, "get_text_config") else model_config
    sizes = Sizes(
        facts.num_params_nonembed, facts.num_params_total - facts.num_params_nonembed, facts.num_params_trainable,
        getattr(text, "hidden_size", 0), getattr(text, "num_hidden_layers", 0), getattr(text, "vocab_size", 0),
    )  # fmt: skip
    absent = ["gradients", "activations"] if measuring else ["evaluation"]
    absent += [] if updated else ["optimizer states"]
    held = [entry for entry in estimate(config, sizes).items() if entry[0] not in absent]
    largest = sorted(held, key=lambda entry: -entry[1])
    consumers = ", ".join(f"{name} {size / GB:.3g} GB" for name, size in largest)
    tried = ", ".join(remedies(config, largest[0][0], measuring))
    return f"out of memory; estimated for one process: {consumers}. Try {tried}"
