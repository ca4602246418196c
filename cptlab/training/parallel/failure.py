"""Why a run of several processes failed: the reason of the one that failed first, which the others cannot see."""

from __future__ import annotations

import os
import sys

from cptlab.training.parallel.launch import leave_note, tell_torchrun
from cptlab.training.parallel.ranks import is_first_process

KEY = "cptlab/failure"


def first_failure(reason: str, run_id: str) -> str:
    """This process fails with `reason`; that of the first that failed. To the others it is a connection that closed.

    run_id: the points of a multirun share their processes, and what these keep together.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return reason
    own = f"{dist.get_rank()}: {reason}"
    try:
        store = dist.distributed_c10d._get_default_store()
        rank, first = store.compare_set(f"{KEY}/{run_id}", "", own).decode().split(": ", 1)
    except RuntimeError:  # the process that keeps what they share has gone
        return reason
    return reason if first == reason or rank == str(dist.get_rank()) else f"process {rank}: {first}"


def tell_failure(reason: str) -> None:
    """Tell whoever started this process. The first process of a run shows the reason itself, once it is recorded."""
    if leave_note(reason):
        return
    tell_torchrun(reason)
    if not is_first_process() and not reason.startswith("process "):  # that one tells it itself
        print(f"process {os.environ.get('RANK') or os.environ.get('SLURM_PROCID')}: {reason}", file=sys.stderr)
