"""Pretrained weights straight from safetensors files into shards: no process ever holds the whole model.

The model is built with weights on the meta device (shapes without memory), sharded, given memory for this process'
shards, and then each process reads its slice of each tensor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@contextmanager
def weights_on_meta() -> Iterator[None]:
    """Within, parameters of new modules have no memory; buffers (rotary frequencies, ...) are real."""
    from torch import nn

    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:  # one that is tied stays the same object
            parameter = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def build_on_meta(folder: Path, vocab_size: int, sequence_length: int) -> PreTrainedModel:
    """The architecture of a Hugging Face folder. UserError unless its files hold each of its weights by name."""
    from cptlab.models.base import check_fits

    model = architecture(folder)
    check_fits(model, folder, vocab_size, sequence_length)
    names_in_files(model, folder)
    return model


def architecture(folder: Path) -> PreTrainedModel:
    """What config.json of a folder describes, weights on the meta device; no weight file is looked at."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with weights_on_meta():
            return AutoModelForCausalLM.from_config(config, dtype="float32", attn_implementation="sdpa")
    except (ValueError, OSError) as error:
        raise UserError(f"the model in {folder} cannot be built: {' '.join(str(error).split())[:200]}") from error


def names_in_files(model: nn.Module, folder: Path) -> dict[str, str]:
    """{parameter on the meta device: its name in the safetensors files}, tied ones once.

    UserError where one is missing or has another shape: the files of an older or fused format.
    """
    shapes = header_shapes(folder)
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    found = {}
    for name, parameter in model.named_parameters():
        if not parameter.is_meta:  # an adapter's
            continue
        aliases = [other for other, p in model.named_parameters(remove_duplicate=False) if p is parameter]
        aliases = [alias.replace(".base_layer.", ".") for alias in aliases]  # what an adapter stands around
        candidates = [*aliases, *(alias.removeprefix(prefix) for alias in aliases)]
        match = next((key for key in candidates if shapes.get(key) == tuple(parameter.shape)), None)
        if match is None:
            raise UserError(
                f"the files in {folder} hold no tensor {name} of shape {tuple(parameter.shape)}, so they cannot be read"
                " in parts; load and save the model once with transformers, or use machine.strategy=ddp"
            )
        found[name] = match
    return found


def header_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """{tensor: shape} from the headers of all safetensors files of a folder; no tensor is read."""
    shapes = {}
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        shapes |= {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    return shapes


def stream_weights(network: nn.Module, model: nn.Module, folder: Path, device: torch.device) -> None:
    """Give the shards of this process memory on `device` and fill them, one tensor at a time.

    network: the sharded root, model: the part of it that `folder` holds. All processes take part.
    """
    import torch
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    def materialise(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device=device) if tensor.is_meta else tensor

    names = names_in_files(model, folder)
    network._apply(materialise)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        load(
            {file_name: parameters[name].detach() for name, file_name in names.items()},
            storage_reader=HuggingFaceStorageReader(str(folder)),
        )
