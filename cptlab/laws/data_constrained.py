"""Data-constrained scaling: Chinchilla where tokens repeat and each repetition is worth less."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.laws.chinchilla import Chinchilla
from cptlab.variants import variant

LOG_A, LOG_B, EXPONENT = 6.255414, 7.3049974, 0.3526596  # published, alpha = beta = EXPONENT


@variant("law")
@dataclass(kw_only=True)
class DataConstrained(Law):
    """L = E + A/N'^alpha + B/D'^beta,  D' = U (1 + R_D (1 - e^(-(D/U - 1)/R_D))),  N' alike   [nat/token]

    N: parameters, D: tokens, repeats counted, U: distinct tokens among them. D' are the tokens that D is worth:
    U at one epoch, at most U (1 + R_D) however often they repeat. N' = V (1 + R_N (1 - e^(-(N/V - 1)/R_N))) with
    V = min(N, N_opt(U)): parameters beyond the compute-optimal number for U tokens are worth less too.
    R_D, R_N (published R_D*, R_N*): how many repetitions it takes, about, until new ones are worth 1/e
    (Muennighoff et al. 2023, arXiv 2305.16264, code huggingface/datablations).

    N_opt(U) = optimal_factor U^optimal_exponent is a field, as in the published fit, which took it from runs
    without repetition: from Chinchilla's coefficients G^(1 + beta/alpha) and beta/alpha with
    G = (alpha A / (beta B))^(1/(alpha + beta)); the default is published, a parameter for 19.6 tokens.
    """

    optimal_factor: float = exp((LOG_A - LOG_B) / EXPONENT)  # [1/token^optimal_exponent], above 0
    optimal_exponent: float = 1.0  # [1], above 0

    inputs: ClassVar = ("num_params", "tokens", "unique_tokens")
    linear: ClassVar = Chinchilla.linear
    shape: ClassVar = {
        **Chinchilla.shape,
        "R_D": Parameter(0.1, 1e4, start=(1, 200)),
        "R_N": Parameter(0.1, 1e4, start=(1, 200)),
    }
    levels: ClassVar = {
        "num_params": Levels(("A", "alpha", "R_N"), confounded=("E", "A", "alpha", "R_N")),
        "tokens": Levels(("B", "beta", "R_D"), confounded=("E", "B", "beta", "R_D")),
    }
    direction: ClassVar = {**Chinchilla.direction, "unique_tokens": -1}
    valid: ClassVar = {"unique_tokens": (0, inf)}

    def __post_init__(self) -> None:
        for name in ("optimal_factor", "optimal_exponent"):
            if not 0 < getattr(self, name) < inf:
                raise UserError(f"law.{name} is {getattr(self, name)}; it must be above 0")

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, N'^-alpha, D'^-beta. shape (..., 4), columns name -> (n,). Returns (..., n, 3)."""
        alpha, beta, R_D, R_N = spread(shape)
        worth_N, worth_D = (np.log(kept * _worth(extra, R)) for kept, extra, R in self._kept(columns, R_D, R_N))
        return stack_terms(np.ones_like(alpha), np.exp(-alpha * worth_N), np.exp(-beta * worth_D))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha, beta, R_D, R_N; d(1 + R (1 - e^(-x/R)))/dR = 1 - e^(-x/R) (1 + x/R). Returns (..., n, 4)."""
        _, A, B, alpha, beta, R_D, R_N = spread(theta)
        by_exponent, by_R = [], []
        terms = ((A, alpha, basis[..., 1]), (B, beta, basis[..., 2]))
        for (c, power, term), (kept, extra, R) in zip(terms, self._kept(columns, R_D, R_N), strict=True):
            worth = _worth(extra, R)
            by_exponent.append(-c * np.log(kept * worth) * term)
            by_R.append(c * power * term / worth * (np.expm1(-extra / R) + extra / R * np.exp(-extra / R)))
        return stack_terms(*by_exponent, by_R[1], by_R[0])

    def _kept(self, columns: Mapping[str, Array], R_D: Array, R_N: Array) -> tuple[tuple[Array, Array, Array], ...]:
        """What counts in full, how often it is exceeded, and R: of parameters, then of tokens."""
        N, D, U = (columns[name] for name in self.inputs)
        V = np.minimum(N, self.optimal_factor * U**self.optimal_exponent)
        U = np.minimum(U, D)
        return (V, N / V - 1, R_N), (U, D / U - 1, R_D)


def _worth(extra: Array, R: Array) -> Array:
    """1 + R (1 - e^(-extra / R)): what 1 + `extra` copies are worth."""
    return 1 - R * np.expm1(-extra / R)
