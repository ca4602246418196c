"""Multi-power law: the loss along one run, by every change of its learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.units import LR_DROP_NAMES
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class MultiPower(Law):
    """L = L0 + A S1^-alpha - B sum_k (lr_{k-1} - lr_k) [1 - (1 + C lr_k^-gamma S_k)^-beta]   [nat/token]

    S1: sum of the LRs over optimizer steps, warm-up included (the paper's S1 + SW); S_k: sum of the LRs from
    step k up to the row; raw LR units. The sum is over all changes, the rise of warm-up included as in the
    published code: it adds about B times the peak LR (.109 at the published 25M values), less a small power of
    S1, to L0. One model, one mixture, as in `annealing` (Luo et al. 2025, arXiv 2503.12811).

    The whole LR history of a row's run enters through the `lr_drop_*` columns, made from the LR of every step
    by `cptlab.schedules.area.lr_drops`.
    """

    inputs: ClassVar = ("lr_area", *(name for node in LR_DROP_NAMES for name in node))
    linear: ClassVar = {
        "L0": Parameter(0, 20, "nat/token"),
        "A": Parameter(0, np.inf, "nat/token"),
        "B": Parameter(0, np.inf, "nat/token"),
    }
    shape: ClassVar = {
        "alpha": Parameter(0.01, 3),
        "C": Parameter(1e-4, 1e6, start=(1e-2, 1e3)),
        "beta": Parameter(0.01, 4),
        "gamma": Parameter(0, 2),
    }
    levels: ClassVar = {"lr_area": Levels(("A", "alpha"), needed=3, wanted=4, confounded=("L0", "A", "alpha"))}
    tied: ClassVar = True
    one: ClassVar = ("tokens_per_step",)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, S1^-alpha, minus the sum over changes without B. shape (..., 4). Returns (..., n, 3)."""
        alpha, C, beta, gamma = spread(shape)
        power = np.exp(-alpha * np.log(columns["lr_area"]))
        total: Array | float = 0.0
        for drop, log_rate, area in _nodes(columns):
            grown = np.log1p(C * np.exp(-gamma * log_rate) * area)
            total = total + drop * -np.expm1(-beta * grown)
        return stack_terms(np.ones_like(alpha), power, -total + 0 * alpha)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha, C, beta, gamma; with x = C lr^-gamma S, d[(1 + x)^-beta] = -beta (1 + x)^(-beta - 1) dx."""
        _, A, B, alpha, C, beta, gamma = spread(theta)
        by_C = by_beta = by_gamma = 0 * alpha
        for drop, log_rate, area in _nodes(columns):
            x = C * np.exp(-gamma * log_rate) * area
            grown = np.log1p(x)
            left = drop * np.exp(-beta * grown)
            stretch = beta * left * x / (1 + x)
            by_C, by_beta, by_gamma = by_C - stretch / C, by_beta - grown * left, by_gamma + log_rate * stretch
        return stack_terms(
            -A * np.log(columns["lr_area"]) * basis[..., 1], B * by_C, B * by_beta, B * by_gamma,
        )  # fmt: skip


def _nodes(columns: Mapping[str, Array]) -> list[tuple[Array, Array, Array]]:
    """Decrease, log of the LR after it, area since, each (n,), of the nodes that hold any change."""
    nodes = [tuple(columns[name] for name in names) for names in LR_DROP_NAMES]
    return [(drop, np.log(np.where(rate > 0, rate, 1.0)), area) for drop, rate, area in nodes if np.any(drop != 0)]
