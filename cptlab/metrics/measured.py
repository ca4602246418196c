"""A number with its unit and its standard error, where one is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

NAT = "nat/token"
Z = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True)
class Measured:
    """value in `unit`; se: standard error in the same unit, None where nothing tells it."""

    value: float
    unit: str = NAT
    se: float | None = None

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval; the value itself without a standard error."""
        return self.value - Z * (self.se or 0.0)

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + Z * (self.se or 0.0)

    def __sub__(self, other: Measured) -> Measured:
        """The difference, as of independent measurements."""
        return Measured(self.value - other.value, self.unit, joint(self.se, other.se))

    def to_json(self) -> dict[str, Any]:
        """{value, se, unit}; what is not finite is null."""
        return {"value": finite(self.value), "se": finite(self.se), "unit": self.unit}


def joint(*errors: float | None) -> float | None:
    """Standard error of a sum or difference of independent numbers; None where one is not known."""
    known = [error for error in errors if error is not None and math.isfinite(error)]
    return math.hypot(*known) if len(known) == len(errors) else None


def mean(values: list[Measured]) -> Measured:
    """Mean of independent numbers of one unit; NaN of none."""
    if not values:
        return Measured(math.nan)
    error = joint(*(value.se for value in values))
    total = sum(value.value for value in values)
    return Measured(total / len(values), values[0].unit, None if error is None else error / len(values))


def finite(value: float | None) -> float | None:
    """None for what JSON cannot say."""
    return value if value is not None and math.isfinite(value) else None
