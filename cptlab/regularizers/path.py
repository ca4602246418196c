"""What the two path regularisers share: they watch every step, and leave what they saw for the next run.

Importance of a weight for the old text is known only from the training on it. So a run under `si` or `rwalk` writes
`importance.safetensors` beside its record, and a run that starts from its weights reads it.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.regularizers.base import Quadratic

if TYPE_CHECKING:
    from torch import Tensor

FILE = "importance.safetensors"


@dataclass(kw_only=True)
class PathRegularizer(Quadratic):
    """strength * sum_i Omega_i (theta_i - theta*_i)^2, Omega from the runs before; 2 strength Omega in the gradient."""

    importance: str = ""  # file of an earlier run's importance; "" = that of the run that the base comes from

    factor = 2.0

    def file(self, weights: Path | None) -> Path | None:
        """Where the importance of the base lies; None where there is no base, and for one that has none."""
        if self.importance:
            return Path(self.importance)
        beside = weights.parent / FILE if weights is not None else None
        return beside if beside is not None and beside.exists() else None

    def lacks_importance(self, weights: Path | None) -> bool:
        """As where a stream begins."""
        return self.file(weights) is None

    def identity(self, weights: Path | None) -> dict:
        """Name and fields, the file by its content."""
        file = self.file(weights)
        return super().identity(weights) | {"importance": sha256(file) if file is not None and file.exists() else ""}

    def check_data(self, corpora: Sequence[str], general: str, weights: Path | None) -> None:
        """A penalty around a base needs that base's importance."""
        name = self.variant_name  # type: ignore[attr-defined]
        file = self.file(weights)
        if file is not None and not file.exists():
            raise UserError(f"regularizer.importance: there is no file {file}; give that of a run with {name}")
        if file is None and weights is not None and self.strength:
            raise UserError(
                f"regularizer={name} needs the importance that the base's own training left, and there is no"
                f" {weights.parent / FILE}; train the base with regularizer={name} regularizer.strength=0 (a short run"
                " on old text does), name its file with regularizer.importance, or use regularizer=ewc, which measures"
                " its own"
            )

    @abstractmethod
    def seen(self, kept: Mapping[str, Tensor], gradient: Tensor) -> None:
        """Before a step, in place: `kept` of one weight by kind, its gradient without the penalty's."""

    @abstractmethod
    def stepped(self, kept: Mapping[str, Tensor], gradient: Tensor, moved: Tensor, weight: Tensor, step: int) -> None:
        """After a step, in place: the same gradient, what the step did to the weight, and the weight itself."""

    @abstractmethod
    def finished(self, kept: Mapping[str, Tensor], weight: Tensor, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the next run reads of a weight, by kind, before `scaled`. before: what this run read, {} for nothing."""

    def scaled(self, left: Mapping[str, Tensor], largest: Mapping[str, float]) -> dict[str, Tensor]:
        """`importance` and whatever else the file holds. largest: maximum of each kind over all weights."""
        return dict(left)


@lru_cache(maxsize=8)
def sha256(file: Path) -> str:
    """Of the content."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
