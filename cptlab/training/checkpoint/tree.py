"""A nested state as plain JSON and a flat set of named tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Tensors = dict[str, Tensor]


def split(tree: Any, name: str) -> tuple[Any, Tensors]:
    """(JSON with {"tensor": name} where a tensor stood, tensors by that name). TypeError for anything else."""
    if isinstance(tree, Tensor):
        return {"tensor": name}, {name: tree}
    if isinstance(tree, Mapping):
        parts = {key: split(value, f"{name}/{key}") for key, value in tree.items()}
        if strange := [key for key in parts if not isinstance(key, str)]:
            raise TypeError(f"{name} has the key {strange[0]!r}; a checkpoint keeps text keys alone")
        return {"dict": {key: part[0] for key, part in parts.items()}}, _joined(parts.values())
    if isinstance(tree, list | tuple):
        listed = [split(value, f"{name}/{number}") for number, value in enumerate(tree)]
        return {type(tree).__name__: [part[0] for part in listed]}, _joined(listed)
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree, {}
    raise TypeError(f"{name} is a {type(tree).__name__}; a checkpoint keeps tensors, numbers and text alone")


def join(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `split` took apart."""
    if not isinstance(plain, dict):
        return plain
    [(kind, content)] = plain.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: join(value, tensors) for key, value in content.items()}
    parts = [join(value, tensors) for value in content]
    return tuple(parts) if kind == "tuple" else parts


def num_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Of all of them, those of every rank together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _joined(parts: Any) -> Tensors:
    return {name: tensor for part in parts for name, tensor in part[1].items()}
