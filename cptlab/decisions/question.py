"""What is asked of the fitted laws."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """The chosen share of every curve given, and what was chosen from.

    share: (...,) chosen domain share; NaN where no share meets the question.
    is_interval: (...,) whether the shares that meet the question are one piece without a gap.
    """

    share: Array
    is_interval: NDArray[np.bool_]


@dataclass(kw_only=True)
class Question(ABC):
    """A choice between domain shares for one size and number of tokens.

    general, domain: corpus names; '' = as the observations tell.
    num_params: parameters of the model to train; null = the largest measured.
    tokens: its CPT tokens; null = the most measured at that size.
    level: coverage of every interval, in (0, 1).
    max_interval_width: an interval of the share that is wider asks for more runs, in (0, 1].
    base_loss: corpus -> loss before the first update [nat/token] of a model that no run started from.
    """

    general: str = ""
    domain: str = ""
    num_params: float | None = None
    tokens: float | None = None
    level: float = 0.9
    max_interval_width: float = 0.2
    base_loss: Any = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise UserError(f"question.level is {self.level}; it must lie between 0 and 1")
        if not 0 < self.max_interval_width <= 1:
            raise UserError(f"question.max_interval_width is {self.max_interval_width}; it must lie in (0, 1]")
        for key in ("num_params", "tokens"):
            value = getattr(self, key)
            if value is not None and not 1 <= value < np.inf:
                raise UserError(f"question.{key} is {value}; it must be 1 or more, or null")
        self.base_loss = {} if self.base_loss is None else self.base_loss
        if not isinstance(self.base_loss, Mapping):
            raise UserError(
                f'question.base_loss is {self.base_loss!r}; write it as "question.base_loss={{corpus: 2.87}}"'
            )
        for name, value in self.base_loss.items():
            if not isinstance(value, int | float) or not 0 < value < np.inf:
                raise UserError(f"question.base_loss.{name} is {value!r}; it must be a number above 0")

    @abstractmethod
    def limits(self, base_loss: Mapping[str, float]) -> dict[str, float]:
        """Highest loss that is allowed, by role (`general`, `domain`), from the base losses by role."""

    @abstractmethod
    def choose(self, share: Array, general: Array, domain: Array, base_loss: Mapping[str, float]) -> Answer:
        """Choose on curves: share (m,), losses (..., m) [nat/token], base losses by role."""

    @abstractmethod
    def binding(self, chosen: float, names: Mapping[str, str]) -> str:
        """What stops a better choice than `chosen`, in words."""

    @abstractmethod
    def unmet(self, names: Mapping[str, str]) -> str:
        """That no share meets the question, in words."""

    def facts(self) -> dict[str, Any]:
        """The fields, and the name of the variant."""
        return {"variant": getattr(self, "variant_name", type(self).__name__)} | asdict(self)
