"""What is asked of the fitted laws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.answerable import refuse_unread, refuse_unvaried
from cptlab.errors import UserError, closest
from cptlab.laws.base import Law
from cptlab.records.observations import Observations
from cptlab.units import QUANTITIES

if TYPE_CHECKING:
    from cptlab.decisions.case import Case
    from cptlab.decisions.recommendation import Recommendation

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Question(ABC):
    """What every question says.

    general, domain: corpus names; '' = as the observations tell.
    num_params: parameters of the model to train; null = the largest measured.
    tokens: its CPT tokens; null = the most measured at that size.
    level: coverage of every interval, in (0, 1).
    max_interval_width: an interval of a share that is wider asks for more runs, in (0, 1].
    max_interval_factor: an interval of a size, of tokens or of an LR that spans a larger factor asks for more runs.
    base_loss: corpus -> loss before the first update [nat/token] of a model that no run started from.
    given: column -> value of any other input of the law at which the question is asked (peak_lr, unique_tokens).
    """

    general: str = ""
    domain: str = ""
    num_params: float | None = None
    tokens: float | None = None
    level: float = 0.9
    max_interval_width: float = 0.2
    max_interval_factor: float = 3.0
    base_loss: Any = None
    given: Any = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise UserError(f"question.level is {self.level}; it must lie between 0 and 1")
        if not 0 < self.max_interval_width <= 1:
            raise UserError(f"question.max_interval_width is {self.max_interval_width}; it must lie in (0, 1]")
        if not 1 < self.max_interval_factor < np.inf:
            raise UserError(f"question.max_interval_factor is {self.max_interval_factor}; it must be above 1")
        for key in ("num_params", "tokens"):
            at_least_one(key, getattr(self, key))
        self.base_loss = _mapping("base_loss", self.base_loss, "corpus: 2.87")
        self.given = _mapping("given", self.given, "peak_lr: 1e-4")
        for name, value in self.base_loss.items():
            if not isinstance(value, int | float) or not 0 < value < np.inf:
                raise UserError(f"question.base_loss.{name} is {value!r}; it must be a number above 0")
        for name, value in self.given.items():
            if name not in QUANTITIES:
                raise UserError(f"question.given.{name} is no column.{closest(name, QUANTITIES)}")
            known = QUANTITIES[name]
            if not isinstance(value, int | float) or not known.low <= value <= known.high:
                raise UserError(
                    f"question.given.{name} is {value!r}; it must be a number in [{known.low:g}, {known.high:g}]"
                )

    @property
    def needs_general(self) -> bool:
        """Whether the question limits or weighs the general corpus, so that its fit is needed."""
        return True

    @property
    def needs_general_base(self) -> bool:
        """Whether it measures a rise, so that the general base loss is needed."""
        return self.needs_general

    @property
    def needs(self) -> dict[str, str]:
        """Quantity that some law must read -> what is impossible without it, and what to do; `share`: the mixture."""
        return {}

    @property
    def chooses(self) -> tuple[str, ...]:
        """Needed quantities whose effect must have been measured, so that one value of them is too few."""
        return tuple(self.needs)

    def refuse_unanswerable(self, laws: Sequence[Law], tables: Sequence[Observations]) -> None:
        """UserError where these laws, each with its rows, cannot answer; cheap, so to be asked before a fit."""
        refuse_unread(self.needs, laws)
        refuse_unvaried(self.chooses, laws, tables)
        self._refuse_base_loss(tables)

    def _refuse_base_loss(self, tables: Sequence[Observations]) -> None:
        """UserError for a base loss of an unknown corpus, or where a rise is asked for and none is known."""
        corpora = list(dict.fromkeys(name for rows in tables for name in rows.domains if name))
        for name in self.base_loss if corpora else ():
            if name not in corpora:
                raise UserError(
                    f"question.base_loss names {name}, whose loss was not measured.{closest(name, corpora)}"
                )
        known = any(
            np.isfinite(rows.columns.get("base_loss", np.nan)).any()
            or (rows.columns.get("tokens", np.ones(1)) == 0).any()
            for rows in tables
        )
        if self.needs_general_base and not known and not self.base_loss:
            name = self.general or "general"
            raise UserError(
                "no loss before the first update is known, so no rise can be measured; give it as "
                f'"question.base_loss={{{name}: 2.87}}", or a column base_loss'
            )

    @property
    def every_corpus(self) -> bool:
        """Whether it is about all fitted corpora, not only the domain and the general one."""
        return False

    @abstractmethod
    def answer(self, case: Case, sizes: Mapping[float, str]) -> Recommendation:
        """Answer with the fits of a case. sizes: num_params -> train.py's name of that size."""

    def facts(self) -> dict[str, Any]:
        """The fields, and the name of the variant."""
        return {"variant": getattr(self, "variant_name", type(self).__name__)} | asdict(self)


def at_least_one(key: str, value: float | None) -> None:
    """UserError unless null or a finite number of 1 or more."""
    if value is not None and not 1 <= value < np.inf:
        raise UserError(f"question.{key} is {value}; it must be 1 or more, or null")


def zero_or_more(key: str, value: float | None) -> None:
    """UserError unless null or a finite number of 0 or more."""
    if value is not None and not 0 <= value < np.inf:
        raise UserError(f"question.{key} is {value}; it must be 0 or more")


def share_or_null(key: str, value: float | None) -> None:
    """UserError unless null or in [0, 1]."""
    if value is not None and not 0 <= value <= 1:
        raise UserError(f"question.{key} is {value}; it must lie in [0, 1], or null")


def _mapping(key: str, value: Any, example: str) -> dict[str, Any]:
    value = {} if value is None else value
    if not isinstance(value, Mapping):
        raise UserError(f'question.{key} is {value!r}; write it as "question.{key}={{{example}}}"')
    return dict(value)
