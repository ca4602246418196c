"""Writing a checkpoint: whole or not at all, and the ones before stay until it is there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save as save_shards
from torch.optim import Optimizer

from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.disk import check_space
from cptlab.training.checkpoint.state import is_sharded, take
from cptlab.training.checkpoint.together import SaveError, alone_is_meant, everywhere, of_all, world
from cptlab.training.checkpoint.tree import Tensors, num_bytes

FORMAT = 1  # of state.json


def kind_for(network: nn.Module, chosen: str) -> str:
    """full or sharded: `auto` is sharded where no process holds all weights."""
    if chosen != "auto":
        return chosen
    return "sharded" if is_sharded(network) else "full"


def write_checkpoint(
    run: Path, content: dict[str, Any], network: nn.Module, optimizer: Optimizer, kind: str, keep: int
) -> Path:
    """Write `checkpoints/step_<n>` of a run folder, keep the last `keep`. Every process calls it.

    content: what is no tensor, `step` and `run_id` among it. SaveError if it cannot be written: nothing has changed.
    """
    rank, size = world()
    step, kind = content["step"], kind_for(network, kind)
    partial = folder.temporary_name(run, step)
    plain, tensors = take(network, optimizer, full=kind == "full")
    content = content | {"format": FORMAT, "kind": kind, "plain": plain}
    sums: dict[str, dict] = {}

    def begin() -> None:
        if rank == 0:
            check_space(run, num_bytes(tensors))
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            (partial / folder.STATE).write_text(json.dumps(content), "utf8")

    def own_sums() -> None:
        sums.update(folder.checksums(partial, folder.files_in(partial)[rank::size]))

    def finish() -> None:
        if rank == 0:
            folder.commit(run, step, {name: each for part in parts for name, each in part.items()})
            folder.prune(run, step, keep)

    try:
        everywhere(begin)
        everywhere(lambda: _write_tensors(partial, tensors, kind, rank, size))
        everywhere(own_sums)
        parts = of_all(sums)
        everywhere(finish)
    except SaveError:
        if rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder.final_name(run, step)


def _write_tensors(partial: Path, tensors: Tensors, kind: str, rank: int, size: int) -> None:
    if kind == "sharded":
        with alone_is_meant():
            save_shards(tensors, storage_writer=FileSystemWriter(partial / folder.SHARDS), no_dist=size == 1)
    elif rank == 0:
        with (partial / folder.FULL).open("wb") as handle:
            torch.save(tensors, handle)
            handle.flush()
            os.fsync(handle.fileno())
