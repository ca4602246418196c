"""BiMix: loss of one domain as a product of a power of its share and a power law of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant


@variant("law", "bimix")
@dataclass(kw_only=True)
class BiMix(Law):
    """L = (B / s^beta + C) / r^alpha   [nat/token]

    r: share of the fitted corpus in (0, 1], s: tokens (the paper counts steps; at one batch size that is a
    factor of B). The published (A / r^alpha) (B / s^beta + C) has A absorbed by B and C. All runs of one size.
    Infinite at r = 0, so those rows are left out; knows no other corpus but by what it leaves (Ge et al. 2024,
    arXiv 2405.14908).
    """

    inputs: ClassVar = ("tokens", "share")
    linear: ClassVar = {"B": Parameter(0, np.inf, "nat/token"), "C": Parameter(0, np.inf, "nat/token")}
    shape: ClassVar = {"alpha": Parameter(0, 2, start=(0.005, 0.6)), "beta": Parameter(0.01, 2)}
    levels: ClassVar = {
        "tokens": Levels(("B", "beta"), confounded=("B", "beta", "C")),
        "share": Levels(("alpha",), needed=2, confounded=("alpha",)),
    }
    direction: ClassVar = {"tokens": -1, "share": -1}
    valid: ClassVar = {"share": (0.0, np.inf)}
    one: ClassVar = ("num_params",)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """r^-alpha s^-beta, r^-alpha. shape (..., 2), columns name -> (n,). Returns (..., n, 2)."""
        alpha, beta = spread(shape)
        log_r, log_s = _logs(columns)
        return stack_terms(np.exp(-alpha * log_r - beta * log_s), np.exp(-alpha * log_r))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/dalpha = -L log r, dL/dbeta = -B r^-alpha s^-beta log s. Returns (..., n, 2)."""
        B, C, *_ = spread(theta)
        log_r, log_s = _logs(columns)
        falling = B * basis[..., 0]
        return stack_terms(-(falling + C * basis[..., 1]) * log_r, -falling * log_s)


def _logs(columns: Mapping[str, Array]) -> tuple[Array, Array]:
    with np.errstate(divide="ignore"):
        return np.log(columns["share"]), np.log(columns["tokens"])
