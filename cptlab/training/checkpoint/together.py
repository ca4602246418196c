"""What all processes of a run do and decide together; one process decides alone."""

from __future__ import annotations

import functools
import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.rendezvous import rendezvous

from cptlab.errors import UserError
from cptlab.training.parallel.launch import joined_world
from cptlab.training.parallel.ranks import is_first_process

PATIENCE = timedelta(hours=1)  # of the others, while the first process reads whole checkpoints
questions = itertools.count()  # one number each, the same on all processes


class SaveError(RuntimeError):
    """A checkpoint could not be written, on whichever process: why."""


def world() -> tuple[int, int]:
    """(rank, number of processes)"""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def of_all(value: Any) -> list[Any]:
    """`value` of every process, by rank."""
    size = world()[1]
    if size == 1:
        return [value]
    values = [None] * size
    dist.all_gather_object(values, value)
    return values


def from_first(action: Callable[[], str]) -> str:
    """What the first process finds, on all of them, before their group exists; its UserError too. All call it."""
    if joined_world() == 1:
        return action()
    store, key = meeting_place(), f"cptlab/{next(questions)}"
    if not is_first_process():
        answer = json.loads(store.get(key))
        if "refused" in answer:
            raise UserError(answer["refused"])
        return answer["found"]
    answer = {"refused": "the first process of the run ended before the others could start"}
    try:
        answer = {"found": action()}
    except UserError as error:
        answer = {"refused": str(error)}
        raise
    finally:
        store.set(key, json.dumps(answer))
    return answer["found"]


@functools.cache
def meeting_place() -> Any:
    """The key-value store at which the processes of torchrun, srun or `start_processes` form their group later."""
    if "RANK" not in os.environ:
        from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

        slurm = SLURMEnvironment(auto_requeue=False)
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = slurm.main_address, str(slurm.main_port)
    rank = int(os.environ.get("RANK") or os.environ["SLURM_PROCID"])
    store = next(rendezvous("env://", rank, joined_world(), timeout=PATIENCE))[0]
    store.set_timeout(PATIENCE)
    # An agent of torchrun keeps its store over restarts: what was answered before a restart must not be read after it.
    return PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def everywhere(action: Callable[[], None]) -> None:
    """Do it, and wait until all have; SaveError on every process if it failed to write on any."""
    why = ""
    try:
        action()
    except (OSError, RuntimeError, CheckpointException) as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
    if failures := list(filter(None, of_all(why))):
        raise SaveError(failures[0])


@contextmanager
def alone_is_meant() -> Iterator[None]:
    """torch warns of a sharded checkpoint of one process, asked for or not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninitialized")
        yield


class Agreement:
    """The largest number that any process asked for, a step late where there are several: nobody waits for it.

    Goes through the CPUs, so that no GPU stands still.
    """

    def __init__(self) -> None:
        self.group: Any = dist.new_group(backend="gloo") if world()[1] > 1 else None
        self.under_way: tuple[Any, torch.Tensor] | None = None

    def agreed(self, wanted: int) -> int:
        """What was asked for: now where there is one process, else at the call before. 0 is nothing."""
        if self.group is None:
            return wanted
        before = self.finish()
        asked = torch.tensor(wanted)
        work = dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=self.group, async_op=True)
        self.under_way = (work, asked)
        return before

    def finish(self) -> int:
        """The answer that is still under way."""
        if self.under_way is None:
            return 0
        (work, asked), self.under_way = self.under_way, None
        work.wait()
        return int(asked)
