"""`sparsity=none`: every weight is trained from the first step to the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cptlab.sparsity.base import Array, Sparsity
from cptlab.variants import variant


@variant("sparsity", "none")
@dataclass(kw_only=True)
class NoSparsity(Sparsity):
    """Dense training."""

    def masked(self, u: Array) -> Array:
        """Nothing."""
        return np.zeros_like(u, dtype=np.float64)

    def identity(self) -> dict:
        """Nothing: older run_ids stay."""
        return {}
