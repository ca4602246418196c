"""Chinchilla: loss falls as a power of size and of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class Chinchilla(Law):
    """L = E + A/N^alpha + B/D^beta   [nat/token]

    N: parameters, D: training tokens. Falls in N and D. Knows no mixture, no learning rate and no base
    model, so on continual pre-training it is the law of one mixture (Hoffmann et al. 2022, arXiv 2203.15556;
    data and parameters of the replication by Besiroglu et al. 2024, arXiv 2404.10102).
    """

    inputs: ClassVar = ("num_params", "tokens")
    linear: ClassVar = {
        "E": Parameter(0, 10, "nat/token"),
        "A": Parameter(0, np.inf, "nat/token"),
        "B": Parameter(0, np.inf, "nat/token"),
    }
    shape: ClassVar = {"alpha": Parameter(0.01, 2), "beta": Parameter(0.01, 2)}
    levels: ClassVar = {
        "num_params": Levels(("A", "alpha"), confounded=("E", "A", "alpha")),
        "tokens": Levels(("B", "beta"), confounded=("E", "B", "beta")),
    }
    direction: ClassVar = {"num_params": -1, "tokens": -1}

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, N^-alpha, D^-beta. shape (..., 2), columns name -> (n,). Returns (..., n, 3)."""
        alpha, beta = spread(shape)
        log_N, log_D = (np.log(columns[name]) for name in self.inputs)
        return stack_terms(np.ones_like(alpha), np.exp(-alpha * log_N), np.exp(-beta * log_D))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/dalpha = -A N^-alpha log N, dL/dbeta = -B D^-beta log D. Returns (..., n, 2)."""
        _, A, B, *_ = spread(theta)
        log_N, log_D = (np.log(columns[name]) for name in self.inputs)
        return stack_terms(-A * log_N * basis[..., 1], -B * log_D * basis[..., 2])
