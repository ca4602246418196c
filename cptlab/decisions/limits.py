"""The cap on the rise of the general loss, which several questions set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cptlab.decisions.candidates import Array, Limit
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Choice, Predict
from cptlab.decisions.question import zero_or_more


def cap_on_rise(case: Case, general: Array, columns: Mapping[str, Array], rise: float) -> Limit:
    """L_general <= base loss x (1 + rise), the base loss that of each candidate's size. general (..., m)."""
    allowed = case.base("general", columns.get("num_params")) * (1 + rise)
    words = f"the cap on the {case.general} loss (max_general_rise={rise:g} of the base loss)"
    return Limit(words, general - allowed, "general", float(allowed[0]) if np.ptp(allowed) == 0 else None)


@dataclass(kw_only=True)
class Capped(Choice):
    """Questions about the domain that may cap the general rise, and need the general corpus for that alone.

    max_general_rise: allowed rise of the general loss over its base loss (of the same size); null = no cap.
    """

    max_general_rise: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("max_general_rise", self.max_general_rise)

    @property
    def needs_general(self) -> bool:
        """Only for the cap."""
        return self.max_general_rise is not None

    def caps(self, case: Case, predict: Predict, columns: Mapping[str, Array]) -> list[Limit]:
        """The cap, if there is one."""
        if self.max_general_rise is None:
            return []
        return [cap_on_rise(case, predict("general", columns), columns, self.max_general_rise)]
