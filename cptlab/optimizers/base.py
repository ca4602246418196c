"""An optimizer variant says how gradients become updates; building one imports torch, nothing before does.

SGD-like, sign-like (Lion), orthogonalised (Muon), projected (GaLore) and averaged (schedule-free) updates differ in
`build` alone: peak LR, clipping and which tensors decay are the same fields everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    import torch

DECAY_KINDS = ("norms", "biases", "embeddings", "matrices")
NO_DECAY = ("norms", "biases", "embeddings")


class Machine(Protocol):
    """What an optimizer asks of the machine."""

    accelerator: str
    strategy: str
    tensor_parallel: int


class Schedule(Protocol):
    """What an optimizer asks of the LR schedule."""

    @property
    def is_constant(self) -> bool:
        """The LR stays at its peak after the warm-up."""
        ...


@dataclass(kw_only=True)
class Optimizer(ABC):
    """How gradients move the weights."""

    peak_lr: float = 1e-3  # learning rate at factor 1 of the schedule, above 0
    clip: float = 1.0  # bound of the gradient's L2 norm; 0 = no clipping
    no_decay: list[str] = field(default_factory=lambda: list(NO_DECAY))  # of DECAY_KINDS, which weights never decay

    state_bytes = (
        8.0  # of states a trained weight; GaLore, whose states depend on shapes, keeps less unless its rank is full
    )
    averages = False  # whether the weights to keep are averages that its `eval()` puts in place

    def __post_init__(self) -> None:
        above_zero("peak_lr", self.peak_lr)
        if self.clip < 0:
            raise UserError(f"optimizer.clip is {self.clip}; it must be 0 (no clipping) or more")
        for name in self.no_decay:
            if name not in DECAY_KINDS:
                raise UserError(f"optimizer.no_decay names {name}.{closest(name, DECAY_KINDS)}")

    @abstractmethod
    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The torch optimizer over the model's trainable parameters, plain or DTensor."""

    def check(self, machine: Machine) -> None:  # noqa: B027 - most need nothing
        """UserError for a machine, or a missing library, with which this optimizer cannot work."""

    def check_schedule(self, schedule: Schedule) -> None:  # noqa: B027 - most need nothing
        """UserError for a schedule that this optimizer does not go with."""

    def all_state_bytes(self, hidden: int, ends: int) -> float:
        """Of the states of `hidden` trained weights of blocks, and of `ends` of embeddings and head."""
        return self.state_bytes * (hidden + ends)

    def identity(self) -> dict:
        """Name and fields; `no_decay` only where it is not the usual one, so that older run_ids stay."""
        described = {"variant": self.variant_name} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[attr-defined]
        if sorted(self.no_decay) == sorted(NO_DECAY):
            described.pop("no_decay")
        return described


@dataclass(kw_only=True)
class AdamFields(Optimizer):
    """An optimizer with the two moments of Adam, for all of its parameters or for some."""

    beta1: float = 0.9  # decay of the first moment, in [0, 1)
    beta2: float = 0.95  # decay of the second moment, in [0, 1)
    eps: float = 1e-8  # added to the root of the second moment
    weight_decay: float = 0.1  # decoupled, per unit of LR, on what `no_decay` leaves

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            share_below_one(name, getattr(self, name))
        above_zero("eps", self.eps)
        zero_or_more("weight_decay", self.weight_decay)


def is_sharded(machine: Machine) -> bool:
    """Parameters are DTensors on this machine."""
    return machine.strategy in ("fsdp", "hsdp") or machine.tensor_parallel > 1


def above_zero(name: str, value: float) -> None:
    """UserError unless value > 0."""
    if not value > 0:
        raise UserError(f"optimizer.{name} is {value}; it must be above 0")


def zero_or_more(name: str, value: float) -> None:
    """UserError unless value >= 0."""
    if not value >= 0:
        raise UserError(f"optimizer.{name} is {value}; it must be 0 or more")


def share_below_one(name: str, value: float) -> None:
    """UserError unless value lies in [0, 1)."""
    if not 0 <= value < 1:
        raise UserError(f"optimizer.{name} is {value}; it must lie in [0, 1)")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """UserError unless value is known."""
    if value not in known:
        raise UserError(f"optimizer.{name} is {value}.{closest(value, known)}")
