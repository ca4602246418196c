"""Whole weights from shards: gathered a tensor at a time, written by the first process a file's worth at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

FILE_BYTES = 5_000_000_000  # as transformers' own files


def has_shards(model: PreTrainedModel) -> bool:
    """Whether any weight lies in parts on several processes."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def whole_tensor(tensor: Tensor) -> Tensor:
    """The numbers of a weight, gathered if it lies in parts; every process calls."""
    tensor = tensor.detach()
    return bare(tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor)  # type: ignore[operator]


def bare(tensor: Tensor) -> Tensor:
    """A weight without what torchao puts around it for FSDP to gather it in FP8, which no file should hold.

    The same memory; of a sharded one its part is laid bare.
    """
    from torch.distributed.tensor import DTensor

    if not isinstance(tensor, DTensor):
        return getattr(tensor, "_tensor", tensor)
    part = tensor.to_local()
    if bare(part) is part:
        return tensor
    return DTensor.from_local(
        bare(part), tensor.device_mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )


def unsharded(model: PreTrainedModel, build: Callable[[], PreTrainedModel], writes: bool) -> PreTrainedModel | None:
    """The model with whole weights on the process that writes (None elsewhere); `build` makes another of its kind."""
    import torch

    if not has_shards(model):
        return model if writes else None
    whole = build() if writes else None
    places = dict(whole.named_parameters()) if whole is not None else {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            tensor = whole_tensor(parameter)
            if whole is not None:
                places[name].copy_(tensor)
    return whole


def save_whole(model: PreTrainedModel, folder: Path, writes: bool, file_bytes: int = FILE_BYTES) -> None:
    """A Hugging Face folder (safetensors, config) of sharded weights; every process calls, the one that writes writes.

    It holds at most `file_bytes` and one tensor at a time. Tied weights are written once.
    """
    from safetensors.torch import save_file

    files: list[list[str]] = []
    part: dict[str, Tensor] = {}
    total = 0

    def flush() -> None:
        if part:
            save_file(part, folder / f"part-{len(files)}.safetensors", metadata={"format": "pt"})
            files.append(list(part))
            part.clear()

    if writes:
        folder.mkdir(parents=True, exist_ok=True)
    for name, parameter in model.named_parameters():
        tensor = whole_tensor(parameter)
        if not writes:
            continue
        size = tensor.numel() * tensor.element_size()
        if sum(t.numel() * t.element_size() for t in part.values()) + size > file_bytes:
            flush()
        part[name] = tensor.cpu().contiguous()
        total += size
    if not writes:
        return
    flush()
    weight_map = {}
    for number, names in enumerate(files):
        file = "model.safetensors" if len(files) == 1 else f"model-{number + 1:05d}-of-{len(files):05d}.safetensors"
        (folder / f"part-{number}.safetensors").replace(folder / file)
        weight_map |= dict.fromkeys(names, file)
    if len(files) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", "utf8")
    model.config.architectures = [type(model).__name__.removeprefix("FSDP")]
    model.config.save_pretrained(folder)
    if model.can_generate() and model.generation_config is not None:
        model.generation_config.save_pretrained(folder)
