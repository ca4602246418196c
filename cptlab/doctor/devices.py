"""Cores, memory, GPUs, and what `auto` becomes on them: precision and attention."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.doctor.finding import Finding, gibibytes
from cptlab.errors import UserError
from cptlab.training.peaks import peak

if TYPE_CHECKING:
    from cptlab.training.machine import Machine

LITTLE_MEMORY = 2 * 2**30  # torch and transformers alone take half of it


def host() -> list[Finding]:
    """Cores of this process and memory, the limit of a container with it."""
    free, limit = available_memory(), container_limit()
    memory = "unknown" if free is None else f"{gibibytes(free)} available"
    if limit is not None:
        memory += f", limit {gibibytes(limit)}"
    little = free is not None and free < LITTLE_MEMORY
    return [
        Finding("cores", f"{cores()} of this process, {os.cpu_count()} of the machine"),
        Finding("memory", memory, note="only the smallest models fit" if little else ""),
    ]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """[byte] that processes can have without swapping; None where the system does not say."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/meminfo").read_text("utf8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def container_limit() -> int | None:
    """[byte] of the control group's memory limit, None without one."""
    file = Path("/sys/fs/cgroup/memory.max")
    if not file.is_file() or (text := file.read_text("utf8").strip()) == "max":
        return None
    return int(text)


def devices(machine: Machine) -> list[Finding]:
    """torch's devices, threads and peak, then precision and attention of a run with this machine."""
    import torch

    wants_gpu = machine.accelerator == "gpu"
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(i) for i in range(number)]
    stop = note = ""
    if wants_gpu and not number:
        stop = "torch sees no GPU: install a CUDA build of torch and a driver, or use machine=cpu_1"
    elif wants_gpu and machine.devices > number:
        stop = f"machine.devices is {machine.devices}; set machine.devices={number}"
    elif not number and shutil.which("nvidia-smi"):
        note = "there is an NVIDIA driver, but this torch has no CUDA; install its CUDA build to use the GPU"
    elif number and not wants_gpu:
        note = "runs take the CPU unless told otherwise: machine=gpu_1"
    shown = ", ".join(
        f"{name} {gibibytes(torch.cuda.get_device_properties(i).total_memory)}" for i, name in enumerate(names)
    )
    found = [
        Finding("devices", shown or "CPU only", note=note, stop=stop),
        Finding(
            "threads", f"torch would take {torch.get_num_threads()}, a run takes machine.threads={machine.threads}"
        ),
    ]
    if stop:
        return found
    kind = "cuda" if wants_gpu else "cpu"
    torch.set_num_threads(machine.threads)  # the peak of a run, not of the whole machine
    top = peak(kind, machine.resolved_precision, machine.peak_tflops)
    return [*found, processes(machine), Finding("peak", str(top)), precision(machine, kind), attention(machine, kind)]


def processes(machine: Machine) -> Finding:
    """How many a run has, what they share out, and the backend that they talk through."""
    import torch.distributed as dist

    backend = "nccl" if machine.accelerator == "gpu" else "gloo"
    there = [name for name in ("gloo", "nccl") if dist.is_available() and getattr(dist, f"is_{name}_available")()]
    if machine.world_size == 1:
        return Finding("processes", f"1, alone; this torch has {' and '.join(there) or 'no backend for several'}")
    where = "one machine" if machine.nodes == 1 else f"each of {machine.nodes} machines"
    found = f"{machine.devices} on {where}, {machine.strategy} over {backend}"
    stop = "" if backend in there else f"this torch has no {backend}; install one that does, or use machine.devices=1"
    return Finding("processes", found, stop=stop)


def precision(machine: Machine, kind: str) -> Finding:
    """What `machine.precision` becomes, and whether the device computes in it."""
    import torch

    resolved = machine.resolved_precision
    found = resolved + (" (auto)" if machine.precision == "auto" else "")
    if kind == "cuda" and resolved == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Finding("precision", found, note="this GPU has no bf16 units; machine.precision=fp32 may be faster")
    if kind == "cuda" and resolved == "fp8" and torch.cuda.get_device_capability() < (8, 9):
        return Finding("precision", found, stop="this GPU has no FP8; use machine.precision=bf16")
    return Finding("precision", found)


def attention(machine: Machine, kind: str) -> Finding:
    """Which attention a Llama-like model would get, and why."""
    from cptlab.training.attention import choose

    try:
        choice = choose(machine.attention, kind, machine.resolved_precision, "llama")
    except UserError as error:
        return Finding("attention", machine.attention, stop=str(error))
    return Finding("attention", f"{choice.name}, {choice.why}")
