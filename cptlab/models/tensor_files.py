"""The safetensors files of a Hugging Face folder, read and written one tensor at a time.

A model of any size passes through the memory of its largest tensor: the heads of the files say every name, type and
shape beforehand, so a new file's head can be written first and its tensors behind it, each when it is made.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"
ALIGNMENT = 8  # bytes; what safetensors itself pads a head to
# safetensors type -> (bytes, name in torch)
TYPES = {
    "F64": (8, "float64"), "F32": (4, "float32"), "F16": (2, "float16"), "BF16": (2, "bfloat16"),
    "I64": (8, "int64"), "I32": (4, "int32"), "I16": (2, "int16"), "I8": (1, "int8"), "U8": (1, "uint8"),
    "BOOL": (1, "bool"), "F8_E4M3": (1, "float8_e4m3fn"), "F8_E5M2": (1, "float8_e5m2"),
}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Entry:
    """A tensor as the head of its file has it."""

    file: str
    dtype: str  # of TYPES
    shape: tuple[int, ...]
    start: int = 0  # of its bytes in the file

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.shape) * TYPES[self.dtype][0]


class TensorFolder:
    """Names, types and shapes of the tensors in a folder; indexing reads one of them."""

    def __init__(self, path: Path) -> None:
        """UserError where the folder holds no safetensors files, or broken ones."""
        self.path = path
        self.entries: dict[str, Entry] = {}
        for file in tensor_files(path):
            head, start = read_head(file)
            for name, entry in head.items():
                if entry["dtype"] not in TYPES:
                    raise UserError(f"{file}: tensor {name} is of type {entry['dtype']}, which cptlab does not read")
                self.entries[name] = Entry(
                    file.name, entry["dtype"], tuple(entry["shape"]), start + entry["data_offsets"][0]
                )  # fmt: skip

    def __getitem__(self, name: str) -> Tensor:
        import torch

        entry = self.entries[name]
        kind = getattr(torch, TYPES[entry.dtype][1])
        if not entry.nbytes:
            return torch.empty(entry.shape, dtype=kind)
        buffer = bytearray(entry.nbytes)  # read, not mapped: a mapped file stays in the memory of the process
        with (self.path / entry.file).open("rb") as handle:
            handle.seek(entry.start)
            handle.readinto(buffer)
        return torch.frombuffer(buffer, dtype=kind).reshape(entry.shape)


def model_folder(path: str | Path, key: str) -> Path:
    """The Hugging Face folder that `path` means: itself, or `model/` of a run folder. key: who asks, for the error."""
    place = Path(path)
    for folder in (place / "model", place):
        if (folder / "adapter_config.json").is_file():
            raise UserError(f"{key}: {folder} holds an adapter, not a model; `cptlab export` merges it into its base")
        if (folder / "config.json").is_file():
            return folder
    raise UserError(f"{key}: {place} holds no config.json; give a Hugging Face model folder or a run folder")


def tensor_files(folder: Path) -> list[Path]:
    """Those that the index names, else every safetensors file. UserError where one is missing."""
    if (index := folder / INDEX).is_file():
        names = sorted(set(json.loads(index.read_text("utf8"))["weight_map"].values()))
        files = [folder / name for name in names]
    elif (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"no *.safetensors in {folder}; cptlab reads no pickled weights, convert them first")
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(f"{folder} lacks {missing[0]}, which its {INDEX} names; fetch the model again")
    return files


def read_head(file: Path) -> tuple[dict[str, Any], int]:
    """({tensor: dtype, shape, data_offsets}, where the data starts). UserError where the file was cut or is another."""
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        try:
            head = json.loads(handle.read(length)) if length <= size else None
        except ValueError:
            head = None
    if head is None:
        raise UserError(f"{file} is no whole safetensors file; fetch or save the model again")
    head.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in head.values()), default=0)
    if 8 + length + end != size:
        raise UserError(f"{file} is {size} bytes but its head promises {8 + length + end}; fetch or save it again")
    return head, 8 + length


def write_file(file: Path, entries: Mapping[str, Entry], tensor: Callable[[str], Tensor]) -> None:
    """Write a safetensors file; `tensor` is called once a name, in the order of the file."""
    import torch

    names = sorted(entries, key=lambda name: (-TYPES[entries[name].dtype][0], name))  # so that each is aligned
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        start, end = end, end + entries[name].nbytes
        head[name] = {
            "dtype": entries[name].dtype,
            "shape": list(entries[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with file.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little"))
        handle.write(text)
        for name in names:
            made, expected = tensor(name).detach().contiguous(), entries[name]
            if tuple(made.shape) != expected.shape or made.dtype != getattr(torch, TYPES[expected.dtype][1]):
                raise ValueError(f"{name} was made as {tuple(made.shape)} {made.dtype}, not as {expected}")
            handle.write(made.reshape(-1).view(torch.uint8).numpy().data if made.numel() else b"")


def write_like(source: TensorFolder, target: Path, entries: Mapping[str, Entry], tensor: Callable) -> None:
    """The files of `source` again in `target`, with `entries` in place of its own and each tensor from `tensor`."""
    files = sorted({entry.file for entry in source.entries.values()})
    for file in files:
        write_file(target / file, {n: e for n, e in entries.items() if e.file == file}, tensor)
    if len(files) > 1 or files != ["model.safetensors"]:
        total = sum(entry.nbytes for entry in entries.values())
        index = {"metadata": {"total_size": total}, "weight_map": {n: entries[n].file for n in sorted(entries)}}
        (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf8")


def copy_files(source: Path, target: Path, without: tuple[str, ...] = ()) -> None:
    """Everything small beside the weights: configuration, tokenizer, chat template."""
    endings = (".json", ".txt", ".model", ".jinja")
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in endings and file.name != INDEX and file.name not in without:
            shutil.copyfile(file, target / file.name)


def with_rows(entry: Entry, rows: int) -> Entry:
    """The same tensor with another number of rows."""
    return replace(entry, shape=(rows, *entry.shape[1:]))
