"""Limits that several questions set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cptlab.decisions.candidates import Array, Limit
from cptlab.decisions.case import Case


def cap_on_rise(case: Case, general: Array, columns: Mapping[str, Array], rise: float) -> Limit:
    """L_general <= base loss x (1 + rise), the base loss that of each candidate's size. general (..., m)."""
    allowed = case.base("general", columns.get("num_params")) * (1 + rise)
    words = f"the cap on the {case.general} loss (max_general_rise={rise:g} of the base loss)"
    return Limit(words, general - allowed, "general", float(allowed[0]) if np.ptp(allowed) == 0 else None)
