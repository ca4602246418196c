"""Forgetting with injection: how far the pre-training loss rises, and how little of the old data holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.units import QUANTITIES
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class ForgettingInjection(Law):
    """L = L_base + A D^beta / ((1 + B p) N)^alpha + E   [nat/token]

    L: loss on the pre-training corpus, L_base: the same before the first update, D: new-domain tokens, N:
    parameters, p: injected share of pre-training text. Injection acts as if the model were 1 + B p times as
    large. Rises with D for ever, so it says nothing of late recovery (Bethune et al. 2025, arXiv 2502.06042).
    """

    data: str = "tokens"  # column of D; the paper counts distinct new-domain tokens, equal within one epoch

    inputs: ClassVar = ("base_loss", "num_params", "tokens", "injected_share")
    linear: ClassVar = {
        "base": Parameter(1, 1),  # the base loss enters as it was measured
        "A": Parameter(0, np.inf, "nat/token"),
        "E": Parameter(-5, 5, "nat/token"),
    }
    shape: ClassVar = {
        "alpha": Parameter(0.01, 2),
        "beta": Parameter(0.01, 2),
        "B": Parameter(0.01, 1e6, start=(1, 1e5)),
    }

    def __post_init__(self) -> None:
        if self.data not in QUANTITIES:
            raise UserError(f"law.data is {self.data}, which is no column.{closest(self.data, QUANTITIES)}")
        vars(self).update(
            inputs=("base_loss", "num_params", self.data, "injected_share"),
            levels={
                "num_params": Levels(("alpha",), confounded=("A", "alpha")),
                self.data: Levels(("beta",), confounded=("A", "beta", "E")),
                "injected_share": Levels(("B",), confounded=("alpha", "B")),
            },
            direction={"num_params": -1, self.data: 1, "injected_share": -1},
        )

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """L_base, D^beta ((1 + B p) N)^-alpha, 1. shape (..., 3), columns name -> (n,). Returns (..., n, 3)."""
        alpha, beta, B = spread(shape)
        log_D, log_N = np.log(columns[self.data]), np.log(columns["num_params"])
        forgotten = np.exp(beta * log_D - alpha * (log_N + np.log1p(B * columns["injected_share"])))
        return stack_terms(columns["base_loss"] + 0 * alpha, forgotten, np.ones_like(alpha))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha, beta, B: the forgotten part times -log((1 + B p) N), log D, -alpha p / (1 + B p)."""
        _, A, _, alpha, _, B = spread(theta)
        p, forgotten = columns["injected_share"], A * basis[..., 1]
        log_N = np.log(columns["num_params"])
        return stack_terms(
            -forgotten * (log_N + np.log1p(B * p)),
            forgotten * np.log(columns[self.data]),
            -forgotten * alpha * p / (1 + B * p),
        )
