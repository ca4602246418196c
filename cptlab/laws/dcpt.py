"""D-CPT: loss of one corpus in a continual pre-training mixture, by size, tokens and that corpus's share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class DCPT(Law):
    """L = E + A/N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma   [nat/token]

    N: non-embedding parameters, D: CPT tokens, r: share of the fitted corpus in [0, 1]. At fixed r it is
    Chinchilla with B' = B r^eta and E' = E + C/(r + epsilon)^gamma. Falls in N, D and r on the range where
    it is valid: near r = 0 the B term rises with r whenever eta < 1, so a fit checks the sign over the
    measured range. It cannot express the early rise of the general loss and says nothing about D -> 0 (Que
    et al. 2024, arXiv 2406.01375, eq. 3).
    """

    # Lower bound of E [nat/token]. Below 0, E is an offset of the measured range and no entropy: a few sizes on a
    # straight line in log N need it, and no extrapolation in N is then worth anything.
    min_irreducible: float = 0.0

    inputs: ClassVar = ("num_params", "tokens", "share")
    linear: ClassVar = {
        "E": Parameter(0, 10, "nat/token"),
        "A": Parameter(0, np.inf, "nat/token"),
        "B": Parameter(0, np.inf, "nat/token"),
        "C": Parameter(0, np.inf, "nat/token"),
    }
    shape: ClassVar = {
        "alpha": Parameter(0.01, 2),
        "eta": Parameter(0.01, 2),
        "beta": Parameter(0.01, 2),
        "epsilon": Parameter(1e-3, 1),
        "gamma": Parameter(0.01, 3),
    }
    levels: ClassVar = {
        "num_params": Levels(("A", "alpha"), confounded=("E", "A", "alpha")),
        "tokens": Levels(("beta",), confounded=("B", "beta")),
        "share": Levels(("C", "epsilon", "gamma", "eta"), needed=3, wanted=4, confounded=("C", "epsilon", "gamma")),
    }
    direction: ClassVar = {"num_params": -1, "tokens": -1, "share": -1}

    def __post_init__(self) -> None:
        if not -100 <= self.min_irreducible <= 0:
            raise UserError(f"law.min_irreducible is {self.min_irreducible}; it must lie in [-100, 0] nat/token")
        self.linear = {**type(self).linear, "E": Parameter(self.min_irreducible, 10, "nat/token")}  # pyright: ignore

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, N^-alpha, r^eta D^-beta (0 at r = 0), (r + epsilon)^-gamma. shape (..., 5) -> (..., n, 4)."""
        alpha, eta, beta, epsilon, gamma = spread(shape)
        log_N, log_D, log_r, r = _logs(columns)
        mixed = np.where(r > 0, np.exp(eta * log_r - beta * log_D), 0.0)
        return stack_terms(np.ones_like(alpha), np.exp(-alpha * log_N), mixed, np.exp(-gamma * np.log(r + epsilon)))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha, eta, beta, epsilon, gamma, with r^eta log r = 0 at r = 0. Returns (..., n, 5)."""
        _, A, B, C, _, _, _, epsilon, gamma = spread(theta)
        log_N, log_D, log_r, r = _logs(columns)
        mixed, floor, shifted = B * basis[..., 2], C * basis[..., 3], r + epsilon
        return stack_terms(
            -A * log_N * basis[..., 1], log_r * mixed, -log_D * mixed,
            -gamma * floor / shifted, -floor * np.log(shifted),
        )  # fmt: skip


def _logs(columns: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
    """log N, log D, log r with 0 in place of log 0, and r, each (n,)."""
    N, D, r = (np.asarray(columns[name], float) for name in DCPT.inputs)
    return np.log(N), np.log(D), np.log(np.where(r > 0, r, 1.0)), r
