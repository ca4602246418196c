"""Going on from a checkpoint: which one, and what it gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.optim import Optimizer

from cptlab.errors import UserError
from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.resolution import compare
from cptlab.training.checkpoint.state import KEPT, is_sharded, put, put_optimizer, take
from cptlab.training.checkpoint.together import alone_is_meant, from_first, world
from cptlab.training.checkpoint.tree import Tensors, join

if TYPE_CHECKING:
    from cptlab.records.run import RunFacts


@dataclass(frozen=True)
class Resume:
    """Where an attempt starts. path: the checkpoint, None at the beginning; content: its state.json."""

    path: Path | None = None
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Optimizer steps that are done."""
        return self.content.get("step", 0)


def find_resume(run: Path, facts: RunFacts, allow_other_resolution: bool, say: Callable[[str], None]) -> Resume:
    """The newest valid checkpoint of a run folder. UserError if it is of another run or resolution.

    Of several processes the first one chooses, and it alone reads every byte; all of them call.
    """

    def choose() -> str:
        path = folder.newest_valid(run, say)
        if path is None:
            return ""
        content = state_in(path)
        if content["run_id"] != facts.run_id:
            raise UserError(
                f"{path} is a checkpoint of the run {content['run_id']}, not of {facts.run_id}; move it away"
            )
        compare(content, facts, allow_other_resolution, say)
        return path.name

    name = from_first(choose)
    path = folder.home(run) / name
    return Resume(path, state_in(path)) if name else Resume()


def state_in(path: Path) -> dict[str, Any]:
    """All of a checkpoint that is no tensor."""
    return json.loads((path / folder.STATE).read_text("utf8"))


def restore(path: Path, content: dict[str, Any], network: nn.Module, optimizer: Optimizer) -> None:
    """Weights and optimizer state, whatever number of processes wrote them and whatever number reads them."""
    own = take(network, optimizer, full=False)[1]
    names = tensor_names(content["plain"])
    if other := sorted(names ^ set(own)):
        raise UserError(
            f"{path} keeps other tensors than this run trains ({other[0]} is on one side only): it was written by"
            " another version; go on with that one, or move the checkpoint away to start again"
        )
    tensors = read_tensors(path, content, network, own)
    put(network, optimizer, content["plain"], tensors, content["kind"] == "full")


def restore_optimizer(path: Path, network: nn.Module, optimizer: Optimizer) -> None:
    """The optimizer state of another run's checkpoint. UserError if it trained other tensors."""
    content = state_in(path)
    names = tensor_names(content["plain"]["optimizer"])
    plain, own = take(network, optimizer, full=False)
    if other := sorted(names ^ tensor_names(plain["optimizer"])):
        raise UserError(f"stage.optimizer=keep: {path} is of another model or optimizer ({other[0]} is on one side)")
    tensors = read_tensors(path, content, network, {name: own[name] for name in names})
    put_optimizer(network, optimizer, content["plain"], tensors, content["kind"] == "full")


def read_tensors(path: Path, content: dict[str, Any], network: nn.Module, own: Tensors) -> Tensors:
    """The tensors of a checkpoint: whole ones of a full, those that `own` names, in its shards, of a sharded one."""
    if content["kind"] == "full":
        # Read as needed where only slices are taken, else whole: the optimizer may keep what it is given.
        return torch.load(path / folder.FULL, map_location="cpu", weights_only=True, mmap=is_sharded(network))
    with alone_is_meant():
        load_shards(own, storage_reader=FileSystemReader(path / folder.SHARDS), no_dist=world()[1] == 1)
    return own


def weights_in(path: Path) -> Tensors:
    """Whole trained weights of a checkpoint by the model's own names, on the CPU; nothing of the optimizer is read."""
    content = state_in(path)
    names = content["plain"]["model"]["dict"]
    plain = {"dict": {name: value for name, value in names.items() if not name.startswith(KEPT)}}
    if content["kind"] == "full":
        tensors: Tensors = torch.load(path / folder.FULL, map_location="cpu", weights_only=True, mmap=True)
    else:
        reader = FileSystemReader(path / folder.SHARDS)
        known = cast("dict[str, TensorStorageMetadata]", reader.read_metadata().state_dict_metadata)
        tensors = {
            name: torch.empty(known[name].size, dtype=known[name].properties.dtype) for name in tensor_names(plain)
        }
        with alone_is_meant():
            load_shards(tensors, storage_reader=reader, no_dist=True)
    return {name.removeprefix("model."): tensor for name, tensor in join(plain, tensors).items()}


def tensor_names(plain: Any) -> set[str]:
    """Names of the tensors that a plain state refers to."""
    if not isinstance(plain, dict | list):
        return set()
    if isinstance(plain, dict) and isinstance(plain.get("tensor"), str):
        return {plain["tensor"]}
    return set().union(*(tensor_names(part) for part in (plain.values() if isinstance(plain, dict) else plain)))
