"""What is merged and how: the command line, checked before a tensor is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.merging import methods

if TYPE_CHECKING:
    from torch import Tensor

METHODS = {
    "linear": "sum of weight x model",
    "slerp": "along the arc from the first model to the second",
    "ties": "base + scale x mean of the trimmed changes that agree in sign",
    "chat-vector": "model + weight x (instruct - base)",
}
ALIASES = {"instruct-residual": "chat-vector"}


@dataclass(frozen=True)
class Recipe:
    """models: those that are merged, the first one gives configuration and files; base, instruct: by method.

    weights: one a model (linear) or one (chat-vector); t, density in [0, 1]; scale: of ties.
    """

    method: str
    models: tuple[Path, ...]
    base: Path | None = None
    instruct: Path | None = None
    weights: tuple[float, ...] = ()
    t: float = 0.5
    density: float = 0.2
    scale: float = 1.0

    def __post_init__(self) -> None:
        count, number = len(self.models), {"linear": None, "slerp": 2, "ties": None, "chat-vector": 1}[self.method]
        if number is not None and count != number:
            raise UserError(f"merge {self.method} takes {number} model{'s' * (number > 1)}, {count} are given")
        if self.method == "linear":
            if len(self.weights) != count:
                raise UserError(f"--weights has {len(self.weights)} numbers for {count} models; give one a model")
            if abs(sum(self.weights) - 1) > 1e-6:
                raise UserError(f"--weights sum to {sum(self.weights):g}; a mean of models needs a sum of 1")
        if not 0 <= self.t <= 1:
            raise UserError(f"--t is {self.t:g}; it must lie in [0, 1], 0 = the first model")
        if not 0 < self.density <= 1:
            raise UserError(f"--density is {self.density:g}; it must lie in (0, 1], 1 = nothing is trimmed")

    @property
    def roles(self) -> list[tuple[str, Path]]:
        """(role, folder) of every model, the first one first, each in the order in which `apply` takes its tensors."""
        found = [("model", path) for path in self.models]
        if self.instruct is not None:
            found.append(("instruct", self.instruct))
        return [*found, ("base", self.base)] if self.base is not None else found

    @property
    def parameters(self) -> dict[str, object]:
        """Those that the method reads."""
        named = {
            "linear": {"weights": list(self.weights)},
            "slerp": {"t": self.t},
            "ties": {"density": self.density, "scale": self.scale},
            "chat-vector": {"weight": self.weights[0] if self.weights else 1.0},
        }
        return dict(named[self.method])

    @property
    def is_elementwise(self) -> bool:
        """Whether a part of a tensor can be merged without the rest of it."""
        return self.method in ("linear", "chat-vector")

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """Tensors of all roles, float64 -> the merged one."""
        if self.method == "linear":
            return methods.linear(tensors, self.weights)
        if self.method == "slerp":
            return methods.slerp(tensors[0], tensors[1], self.t)
        if self.method == "ties":
            return methods.ties(tensors[-1], tensors[:-1], self.density, self.scale)
        return methods.chat_vector(tensors[0], tensors[1], tensors[2], self.weights[0] if self.weights else 1.0)
