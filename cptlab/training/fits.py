"""Whether model, tokenizer, machine and adapter go together, found out before any weight is read or drawn.

What config.json says answers most of it; names of layers come from the architecture, its weights on the meta device.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.training.attention.choice import choose
from cptlab.training.parallel.fp8 import check_capability, check_fp8

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.models.base import Model
    from cptlab.training.machine import Machine

ANY_VOCABULARY = 8  # rows of embeddings that nobody looks at


def check_machine(machine: Machine, model_type: str, here: bool) -> None:
    """UserError for GPUs, an attention or a precision that are not there; what needs the GPU is asked only `here`.

    torch is imported only where a GPU is asked for. Kernels are run once the training process has the GPU.
    """
    check_fp8(machine)
    on_gpu = machine.accelerator == "gpu"
    if on_gpu and not here:
        return
    if on_gpu:
        check_devices(machine)
    device = "cuda" if on_gpu else "cpu"
    choose(machine.attention, device, machine.resolved_precision, model_type, run_kernels=False)
    if machine.resolved_precision == "fp8":
        check_capability()


def check_devices(machine: Machine) -> None:
    """UserError for GPUs that are not there."""
    import torch

    if not torch.cuda.is_available():
        raise UserError("machine.accelerator is gpu but torch sees none; use machine=cpu_1 or install a CUDA torch")
    if torch.cuda.device_count() < machine.devices:
        raise UserError(
            f"machine.devices is {machine.devices} but torch sees {torch.cuda.device_count()} GPUs; set"
            " machine.devices to what is here"
        )


def read_config(folder: Path | None) -> dict[str, Any]:
    """config.json of a base, of its text part where it has several; {} for random weights."""
    if folder is None:
        return {}
    try:
        content = json.loads((folder / "config.json").read_text("utf8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} cannot be read ({' '.join(str(error).split())[:100]})") from error
    return content | (content.get("text_config") or {})


def check_vocabulary(
    config: Mapping[str, Any], folder: Path | None, vocab_size: int, sequence_length: int, is_own: bool
) -> None:
    """UserError where the tokenizer has more tokens than the base embeds, or the rows are longer than it takes.

    is_own: the tokenizer is the one that lies beside the base's weights.
    """
    rows = (config.get("text_config") or config).get("vocab_size", vocab_size)
    if vocab_size > rows:
        mend = "its config.json and its tokenizer do not match" if is_own else "use its own (data.tokenizer=auto)"
        raise UserError(
            f"the tokenizer has {vocab_size} tokens but the model in {folder} embeds {rows}; {mend}, or give the base"
            " new tokens with vocab=extend or vocab=replace"
        )
    check_length(config, folder, sequence_length)


def check_length(config: Mapping[str, Any], folder: Path | None, sequence_length: int) -> None:
    """UserError where the rows are longer than the base takes."""
    longest = (config.get("text_config") or config).get("max_position_embeddings", sequence_length)
    if sequence_length > longest:
        raise UserError(f"data.sequence_length is {sequence_length}; the model in {folder} takes at most {longest}")


def check_layers(config: TrainConfig, folder: Path | None) -> None:
    """UserError for adapter targets that no layer has, or matrices that a tensor-parallel machine cannot share out."""
    shared = config.machine.tensor_parallel
    if shared == 1 and not config.adapter.identity():
        return
    model = skeleton(config.model, folder, config.data.sequence_length)
    config.adapter.check_model(model)
    if shared > 1:
        from cptlab.training.parallel.blocks import blocks_of
        from cptlab.training.parallel.tensor_parallel import check_blocks

        check_blocks(blocks_of(model), shared)


def skeleton(
    model: Model, folder: Path | None, sequence_length: int, vocab_size: int = ANY_VOCABULARY
) -> PreTrainedModel:
    """The architecture without weights; a base embeds what its config.json says."""
    from cptlab.training.build import silence_libraries

    silence_libraries()
    import torch

    from cptlab.training.parallel.streaming import architecture, weights_on_meta

    if folder is not None:
        return architecture(folder)
    with torch.random.fork_rng(devices=[]), weights_on_meta():
        return model.build(vocab_size, sequence_length, 0)
