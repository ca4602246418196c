"""LR annealing: the loss along one run, by the areas under its learning-rate curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class Annealing(Law):
    """L = L0 + A S1^-alpha - C S2   [nat/token]

    S1: sum of the LRs over optimizer steps, warm-up included; S2: sum of the LR decreases since warm-up, each
    remembered with a factor lambda = .999 a step and summed again over steps; both in raw LR units (peak 2e-4
    over 30k steps is S1 = 6), so that A and C belong to one batch size. One model, one mixture: size and data
    are in L0 and A (Tissue et al. 2024, arXiv 2408.11029).
    """

    inputs: ClassVar = ("lr_area", "anneal_area")
    linear: ClassVar = {
        "L0": Parameter(0, 20, "nat/token"),
        "A": Parameter(0, np.inf, "nat/token"),
        "C": Parameter(0, np.inf, "nat/token"),
    }
    shape: ClassVar = {"alpha": Parameter(0.01, 3)}
    levels: ClassVar = {
        "lr_area": Levels(("A", "alpha"), needed=3, wanted=4, confounded=("L0", "A", "alpha")),
        "anneal_area": Levels(("C",), wanted=2),
    }
    direction: ClassVar = {"lr_area": -1, "anneal_area": -1}
    one: ClassVar = ("tokens_per_step",)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, S1^-alpha, -S2. shape (..., 1), columns name -> (n,). Returns (..., n, 3)."""
        (alpha,) = spread(shape)
        S1, S2 = (columns[name] for name in self.inputs)
        return stack_terms(np.ones_like(alpha), np.exp(-alpha * np.log(S1)), -S2)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/dalpha = -A S1^-alpha log S1. Returns (..., n, 1)."""
        A = spread(theta)[1]
        return stack_terms(-A * np.log(columns["lr_area"]) * basis[..., 1])
