"""Which points may run side by side: cores, GPUs and the number of points are shared out among them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field

from cptlab.sweeps.job import Job
from cptlab.sweeps.planned import PlannedPoint


@dataclass
class Seats:
    """What this machine has for points.

    workers: points at a time, 0 = as many as have cores (or GPUs); per_gpu: points that share one GPU.
    """

    workers: int = 0
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    gpus: list[str] = field(default_factory=list)
    per_gpu: int = 1
    taken: dict[int, tuple[int, list[str]]] = field(default_factory=dict)  # job -> (cores, GPUs)

    def take(self, job: Job) -> dict[str, str] | None:
        """Environment of the process that may start now, None while it has to wait."""
        if self.workers and len(self.taken) >= self.workers:
            return None
        cores = 0 if job.gpu else job.threads * job.devices
        if not self.workers and self.taken and cores + sum(used for used, _ in self.taken.values()) > self.cores:
            return None
        gpus: list[str] = []
        if job.gpu and self.gpus:
            load = {gpu: sum(used.count(gpu) for _, used in self.taken.values()) for gpu in self.gpus}
            free = sorted((gpu for gpu in self.gpus if load[gpu] < self.per_gpu), key=lambda gpu: load[gpu])
            gpus = free[: job.devices]
            if len(gpus) < job.devices:
                return None
        self.taken[job.number] = (cores, gpus)
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}

    def give(self, job: Job) -> None:
        """A point has ended."""
        self.taken.pop(job.number, None)


def side_by_side(points: list[PlannedPoint], workers: int, per_gpu: int = 1) -> int:
    """Points that run at a time on this machine."""
    if workers:
        return workers
    if points[0].gpu:
        return max(1, len(visible_gpus()) * per_gpu // points[0].devices)
    return max(1, len(os.sched_getaffinity(0)) // (points[0].threads * points[0].devices))


def visible_gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES of the GPUs that this process may use, without loading CUDA."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]
