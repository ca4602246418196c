"""Warm-up, then constant: every evaluation along the run is a valid point for laws without LR inputs."""

from dataclasses import dataclass

import numpy as np

from cptlab.schedules.base import Array, Schedule
from cptlab.variants import variant


@variant("lr_schedule")
@dataclass(kw_only=True)
class Constant(Schedule):
    """LR = peak after the warm-up."""

    @property
    def is_constant(self) -> bool:
        """Always."""
        return True

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """1 everywhere."""
        return np.ones_like(tokens, dtype=np.float64)
