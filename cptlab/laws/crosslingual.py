"""Cross-lingual continual pre-training: a new language from scratch or from a base, sizes and tokens traded."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.laws.chinchilla import Chinchilla
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class Crosslingual(Law):
    """L = E + A/N^alpha + B/(D^beta N^gamma)   [nat/token]

    N: parameters, D: training tokens of this run, the base's own not counted. gamma > 0: what a base has
    learnt before saves more tokens the larger it is; gamma = 0 is Chinchilla, the law of runs from scratch.
    Falls in N and D (Zheng et al. 2024, arXiv 2407.02118).

    Published as a two-stage fit: scratch runs give E, A, alpha, then the runs from a base give B, beta, gamma
    (`cptlab.fitting.stages.fit_two_stages`). With `joint` one fit takes both, told apart by the column
    `from_scratch`: rows at 1 have the term B_scratch/D^beta_scratch, all share E, A and alpha.
    """

    joint: bool = False  # one fit of runs from scratch and from a base; needs the column from_scratch

    inputs: ClassVar = ("num_params", "tokens")
    linear: ClassVar = Chinchilla.linear
    shape: ClassVar = {
        **Chinchilla.shape,
        "gamma": Parameter(-1, 2, start=(0, 0.5)),
    }
    levels: ClassVar = {
        "num_params": Levels(("A", "alpha", "gamma"), confounded=("E", "A", "alpha", "gamma")),
        "tokens": Levels(("B", "beta", "gamma"), confounded=("E", "B", "beta")),
    }
    direction: ClassVar = Chinchilla.direction

    def __post_init__(self) -> None:
        if self.joint:
            vars(self).update(
                inputs=(*self.inputs, "from_scratch"),
                linear={**self.linear, "B_scratch": Parameter(0, inf, "nat/token")},
                shape={**self.shape, "beta_scratch": Parameter(0.01, 2)},
                levels={**self.levels, "from_scratch": Levels((), needed=2, wanted=2)},
            )

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, N^-alpha, D^-beta N^-gamma (and D^-beta_scratch, each 0 on the other's rows). Returns (..., n, k)."""
        alpha, beta, gamma, *scratch = spread(shape)
        log_N, log_D = (np.log(columns[name]) for name in self.inputs[:2])
        size, tokens = np.exp(-alpha * log_N), np.exp(-beta * log_D - gamma * log_N)
        if not self.joint:
            return stack_terms(np.ones_like(alpha), size, tokens)
        from_scratch = columns["from_scratch"]
        again = from_scratch * np.exp(-scratch[0] * log_D)
        return stack_terms(np.ones_like(alpha), size, (1 - from_scratch) * tokens, again)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """Each exponent's term times minus the logarithm of its base. Returns (..., n, q)."""
        _, A, B, *rest = spread(theta)
        log_N, log_D = (np.log(columns[name]) for name in self.inputs[:2])
        tokens = B * basis[..., 2]
        by = [-A * log_N * basis[..., 1], -log_D * tokens, -log_N * tokens]
        return stack_terms(*by, -rest[0] * log_D * basis[..., 3]) if self.joint else stack_terms(*by)

    def frontier(self, theta: Array, from_scratch: bool = False) -> tuple[float, float]:
        """(G, a) of the compute-optimal size N = G (C/6)^a at C = 6 N D, then D = (C/6)^(1 - a) / G.

        a = beta / (alpha + beta - gamma), G = (alpha A / ((beta - gamma) B))^(1 / (alpha + beta - gamma)). NaN
        where gamma >= beta: loss then falls with N at any D, and there is no optimum. theta (p,).
        """
        known = dict(zip(self.parameter_names, np.asarray(theta, float).tolist(), strict=True))
        own = "_scratch" if from_scratch and self.joint else ""
        gamma = 0.0 if from_scratch else known["gamma"]
        alpha, beta, B = known["alpha"], known["beta" + own], known["B" + own]
        if gamma >= beta:
            return float("nan"), float("nan")
        power = 1 / (alpha + beta - gamma)
        return (alpha * known["A"] / ((beta - gamma) * B)) ** power, beta * power

    def compute_optimal(self, theta: Array, flops: float, from_scratch: bool = False) -> tuple[float, float]:
        """Parameters and tokens of lowest loss at `flops` = 6 N D [FLOP] of this run alone. theta (p,)."""
        G, a = self.frontier(theta, from_scratch)
        size = G * (flops / 6) ** a
        return size, flops / (6 * size)
