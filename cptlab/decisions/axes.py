"""Values to choose from along one quantity."""

from __future__ import annotations

import numpy as np

from cptlab.decisions.answerable import reads_mixture
from cptlab.decisions.candidates import Array
from cptlab.decisions.case import Case
from cptlab.errors import UserError

MARGIN = 1e-3  # how far candidates stay inside the open interval where a law is valid


def shares(case: Case, fixed: float | None = None, num: int = 101) -> Array:
    """Domain shares from 0 to 1 where every law is valid; the fixed one, if any."""
    if fixed is not None:
        return np.array([float(fixed)])
    low, high = 0.0, 1.0
    for role, fit in case.fits.items():
        valid = getattr(fit.law, "valid", {})
        for name, (a, b) in valid.items():
            own = name == "domain_share" or (name == "share" and role == "domain")
            other = name == "general_share" or (name == "share" and role == "general")
            if own or other:
                a, b = (a, b) if own else (1 - b, 1 - a)
                low, high = max(low, a + MARGIN), min(high, b - MARGIN)
    return np.linspace(low, high, num)


def reads_share(case: Case) -> bool:
    """Whether some law depends on the mixture."""
    return any(reads_mixture(fit.law) for fit in case.fits.values())


def geometric(key: str, low: float, high: float, num: int) -> Array:
    """`num` values from low to high, evenly in the logarithm; the ends exactly."""
    if not 0 < low < high:
        raise UserError(
            f"question.{key}: the range from {low:.4g} to {high:.4g} is empty; give a lower start or a higher end"
        )
    values = np.geomspace(low, high, num)
    values[0], values[-1] = low, high
    return values


def measured(case: Case, name: str) -> tuple[float, float]:
    """(lowest, highest) measured value of a quantity that a question needs, so that some fit reads it."""
    ranges = [fit.support[name] for fit in case.fits.values() if name in fit.support]
    return max(low for low, _ in ranges), min(high for _, high in ranges)
