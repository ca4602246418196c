"""CMR over tokens: the change of a loss against its base model at one mixture.

The domain's loss moves by one power of tokens, the general one by two: it rises first and falls later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant

BASE = Parameter(1, 1)  # the base loss enters as it was measured
POWER = Parameter(-3, 3)


@variant("law")
@dataclass(kw_only=True)
class CMRDomain(Law):
    """L(T) = L_base + alpha1 T^s1 + beta1   [nat/token]

    T: tokens in units of `tokens_unit`, at one domain share R and one size. One fit a share (Gu et al. 2024,
    arXiv 2407.17467).
    """

    tokens_unit: float = 2e8  # [token] what T = 1 stands for; positive

    inputs: ClassVar = ("base_loss", "tokens")
    linear: ClassVar = {"base": BASE, "alpha1": Parameter(unit="nat/token"), "beta1": Parameter(unit="nat/token")}
    shape: ClassVar = {"s1": POWER}
    levels: ClassVar = {"tokens": Levels(("alpha1", "s1"), needed=3, confounded=("alpha1", "s1", "beta1"))}
    one: ClassVar = ("num_params", "domain_share")

    def __post_init__(self) -> None:
        _check_unit(self.tokens_unit)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """L_base, T^s1, 1. shape (..., 1), columns name -> (n,). Returns (..., n, 3)."""
        (s,) = spread(shape)
        log_T = np.log(columns["tokens"] / self.tokens_unit)
        return stack_terms(columns["base_loss"] + 0 * s, np.exp(s * log_T), np.ones_like(s))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/ds1 = alpha1 T^s1 log T. Returns (..., n, 1)."""
        _, alpha, *_ = spread(theta)
        return stack_terms(alpha * basis[..., 1] * np.log(columns["tokens"] / self.tokens_unit))


@variant("law")
@dataclass(kw_only=True)
class CMRGeneral(Law):
    """L(T) = L_base + alpha2 T^s2 + alpha3 T^s3 + beta2   [nat/token]

    T: tokens in units of `tokens_unit`, at one domain share R and one size. One fit a share. Alike under an
    exchange of (alpha2, s2) and (alpha3, s3): s2 is held to [-3, 0.5] and s3 to [0.01, 3], which orders most fits
    (Gu et al. 2024, arXiv 2407.17467).
    """

    tokens_unit: float = 2e8  # [token] what T = 1 stands for; positive

    inputs: ClassVar = ("base_loss", "tokens")
    linear: ClassVar = {
        "base": BASE,
        "alpha2": Parameter(unit="nat/token"),
        "alpha3": Parameter(unit="nat/token"),
        "beta2": Parameter(unit="nat/token"),
    }
    shape: ClassVar = {"s2": Parameter(-3, 0.5), "s3": Parameter(0.01, 3)}
    levels: ClassVar = {
        "tokens": Levels(
            ("alpha2", "s2", "alpha3", "s3"), needed=5, wanted=7, confounded=("alpha2", "s2", "alpha3", "s3", "beta2")
        )
    }
    one: ClassVar = ("num_params", "domain_share")

    def __post_init__(self) -> None:
        _check_unit(self.tokens_unit)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """L_base, T^s2, T^s3, 1. shape (..., 2), columns name -> (n,). Returns (..., n, 4)."""
        s2, s3 = spread(shape)
        log_T = np.log(columns["tokens"] / self.tokens_unit)
        return stack_terms(columns["base_loss"] + 0 * s2, np.exp(s2 * log_T), np.exp(s3 * log_T), np.ones_like(s2))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/ds = alpha T^s log T for both powers. Returns (..., n, 2)."""
        _, alpha2, alpha3, *_ = spread(theta)
        log_T = np.log(columns["tokens"] / self.tokens_unit)
        return stack_terms(alpha2 * basis[..., 1] * log_T, alpha3 * basis[..., 2] * log_T)


def _check_unit(unit: float) -> None:
    if not unit > 0:
        raise UserError(f"law.tokens_unit is {unit}; it must be a positive number of tokens")
