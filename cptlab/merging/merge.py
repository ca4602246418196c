"""`cptlab merge`: Hugging Face folders in, one folder out; one tensor of each model in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest
from cptlab.export.folder import whole
from cptlab.merging.card import card
from cptlab.merging.check import check_tensors, check_tokenizers
from cptlab.merging.recipe import Recipe
from cptlab.models.base import weights_sha256
from cptlab.models.ends import ends_of
from cptlab.models.tensor_files import FLOATS, TYPES, TensorFolder, copy_files, model_folder, write_like
from cptlab.training.build import silence_libraries

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"fp32": "F32", "bf16": "BF16", "fp16": "F16"}
BLOCK = 1 << 24  # numbers of a tensor that are merged at once where the method allows it
# Files of how a model is spoken to: of the instruct model, where there is one with the same tokens.
SPOKEN = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
          "tokenizer.model", "chat_template.jinja", "generation_config.json")  # fmt: skip


@dataclass(frozen=True)
class Merged:
    """What was written."""

    folder: Path
    weights_sha256: str
    tensors: int
    kept: int  # tensors that are the first model's as they were


def merge(recipe: Recipe, to: Path, dtype: str = "", keep_embeddings: bool = False) -> Merged:
    """Write the merged model, whole or not at all. UserError for models that do not fit together.

    dtype: fp32, bf16 or fp16; "" = as the first model has each tensor. keep_embeddings: input embeddings and head
    stay the first model's, whatever the others' vocabularies are.
    """
    if dtype and dtype not in DTYPES:
        raise UserError(f"--dtype is {dtype}.{closest(dtype, DTYPES)}")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"--to {to} is there already; name an empty or new folder")
    places = [(role, model_folder(path, role)) for role, path in recipe.roles]
    folders = [TensorFolder(path) for _, path in places]
    first = folders[0]
    ends = embeddings_of(first) if keep_embeddings else frozenset()
    check_tensors(folders, ends)
    compared = not keep_embeddings and check_tokenizers([path for _, path in places])
    fixed = ends | {name for name, entry in first.entries.items() if entry.dtype not in FLOATS}
    entries = {
        name: replace(entry, dtype=DTYPES[dtype]) if dtype and entry.dtype in FLOATS else entry
        for name, entry in first.entries.items()
    }
    with whole(to) as folder:
        write_like(first, folder, entries, merger(recipe, folders, fixed, {n: e.dtype for n, e in entries.items()}))
        copy_files(first.path, folder, ("adapted_vocabulary.json",))
        instruct = dict(places).get("instruct")
        if instruct is not None and not keep_embeddings:
            copy_files(instruct, folder, tuple(file.name for file in instruct.iterdir() if file.name not in SPOKEN))
        set_dtype(folder, entries[max(entries, key=lambda name: entries[name].nbytes)].dtype)
        sums = [(role, path, weights_sha256(path)) for role, path in places]
        done = Merged(to, weights_sha256(folder), len(entries), len(fixed))
        text = card(recipe, sums, done.weights_sha256, keep_embeddings, compared, dtype)
        (folder / "README.md").write_text(text, "utf8")
    return done


def embeddings_of(folder: TensorFolder) -> frozenset[str]:
    """Names of the tensors of input embeddings and head."""
    silence_libraries()
    return frozenset(ends_of(folder).names)


def merger(
    recipe: Recipe, folders: list[TensorFolder], fixed: frozenset[str], dtypes: dict[str, str]
) -> Callable[[str], Tensor]:
    """A function from the name of a tensor to the merged one, of its type in `dtypes`."""
    import torch

    def merged(name: str) -> Tensor:
        kind = getattr(torch, TYPES[dtypes[name]][1])
        if name in fixed:
            return folders[0][name].to(kind)
        parts = [folder[name] for folder in folders]
        if not recipe.is_elementwise:
            return recipe.apply([part.double() for part in parts]).to(kind)
        made = torch.empty(parts[0].numel(), dtype=kind)
        flat = [part.flatten() for part in parts]
        for start in range(0, len(made), BLOCK):
            block = slice(start, start + BLOCK)
            made[block] = recipe.apply([part[block].double() for part in flat]).to(kind)
        return made.reshape(parts[0].shape)

    return merged


def set_dtype(folder: Path, dtype: str) -> None:
    """Let config.json name the type of the weights."""
    import json

    file = folder / "config.json"
    config = json.loads(file.read_text("utf8"))
    for key in ("dtype", "torch_dtype"):
        if key in config:
            config[key] = TYPES[dtype][1]
    file.write_text(json.dumps(config, indent=2) + "\n", "utf8")
