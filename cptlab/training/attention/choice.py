"""Which attention a run takes: what is asked for, or the fastest that is installed and runs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest
from cptlab.training.attention.probe import kernel_fails, missing_package

if TYPE_CHECKING:
    import torch

FLASH = ("flash_attention_4", "flash_attention_3", "flash_attention_2")
STREAMED = (*FLASH, "varlen")  # documents as one stream with cumulative lengths; GPU and half precision only
BACKENDS = (*STREAMED, "flex", "sdpa", "eager")
ATTENTIONS = ("auto", *BACKENDS)
FULL_PRECISION = ("fp32", "float32", "float64")
# Scores that the fused functions do not compute; the model's own eager function does.
ODD_SCORES = {"gemma2": "its scores are soft-capped", "gpt_oss": "it has attention sinks"}


@dataclass(frozen=True)
class Choice:
    """One of BACKENDS, why it was taken, and the torch device type that it is for."""

    name: str
    why: str = "as asked for"
    device_type: str = "cpu"

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def check(requested: str, device_type: str, dtype: str | torch.dtype) -> None:
    """UserError for a name, device and precision that cannot work anywhere. Needs no torch: for the preflight.

    device_type: "cpu" or "cuda"; dtype: fp32, bf16, fp8 or a torch dtype.
    """
    if requested not in ATTENTIONS:
        raise UserError(f"machine.attention is {requested}.{closest(requested, ATTENTIONS)}")
    problem = "" if requested == "auto" else misfit(requested, device_type, dtype)
    if problem:
        instead = "flex or sdpa" if device_type == "cuda" else "sdpa"
        raise UserError(f"machine.attention={requested}: {problem}; machine.attention=auto would take {instead}")


def choose(
    requested: str, device_type: str, dtype: str | torch.dtype, model_type: str = "", run_kernels: bool = True
) -> Choice:  # fmt: skip
    """The backend of a run on this machine.

    requested: one of ATTENTIONS; device_type, dtype: as in `check`; model_type: `config.model_type` of transformers.
    On "cuda" torch is imported, and a kernel that is installed is run once on a few numbers unless `run_kernels` is
    false: a process that only looks ahead leaves the GPU alone.
    UserError for a backend that is unknown, absent or cannot work: how to get it, and what auto would take.
    """
    check(requested, device_type, dtype)
    if requested == "auto":
        return automatic(device_type, dtype, model_type, run_kernels)
    problem = obstacle(requested, device_type, dtype, model_type, run_kernels)
    if problem:
        instead = automatic(device_type, dtype, model_type, run_kernels).name
        raise UserError(f"machine.attention={requested}: {problem}; machine.attention=auto would take {instead}")
    return Choice(requested, "as asked for", device_type)


def automatic(device_type: str, dtype: str | torch.dtype, model_type: str, run_kernels: bool = True) -> Choice:
    """The first of the order that nothing stands against; `why` names what stands against the ones before it."""
    if model_type in ODD_SCORES:
        return Choice("eager", f"{model_type} needs the model's own function, {ODD_SCORES[model_type]}", device_type)
    if device_type != "cuda":
        return Choice("sdpa", f"flash kernels need a GPU, and flex has no backward on a {device_type}", device_type)
    against = []
    for name in order():
        problem = obstacle(name, device_type, dtype, model_type, run_kernels)
        if not problem:
            return Choice(name, "; ".join(against) or "the first choice for this GPU", device_type)
        against.append(f"{name}: {problem}")
    return Choice("sdpa", "; ".join(against), device_type)


def order() -> tuple[str, ...]:
    """Backends from the fastest expected on this GPU: each flash generation was written for one of NVIDIA's."""
    import torch

    major = torch.cuda.get_device_capability()[0] if torch.cuda.is_available() else 0
    newest = ("flash_attention_3", "flash_attention_4") if major == 9 else ("flash_attention_4",) if major > 9 else ()
    return (*newest, "flash_attention_2", "varlen", "flex", "sdpa")


def obstacle(
    name: str, device_type: str, dtype: str | torch.dtype, model_type: str, run_kernels: bool = True
) -> str:  # fmt: skip
    """What stands against a backend here: device, precision, model, package or a kernel that fails; "" if nothing."""
    if name == "eager":
        return ""
    if model_type in ODD_SCORES:
        return f"model type {model_type} needs eager, {ODD_SCORES[model_type]}"
    return misfit(name, device_type, dtype) or missing_package(name) or (kernel_fails(name) if run_kernels else "")


def misfit(name: str, device_type: str, dtype: str | torch.dtype) -> str:
    """What device and precision have against a backend; "" if nothing."""
    if name in STREAMED and device_type != "cuda":
        return f"it needs a GPU, and this run is on a {device_type}"
    if name in STREAMED and str(dtype).removeprefix("torch.") in FULL_PRECISION:
        return "it computes in bf16 or fp16, and this run in fp32 (machine.precision=bf16 would do)"
    if name == "flex" and device_type != "cuda":
        return f"torch has no backward of it on a {device_type}"
    return ""
