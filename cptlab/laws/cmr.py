"""CMR at one moment: loss as a power of the domain share, all runs equally long."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class CMR(Law):
    """L(R) = alpha R^s + beta   [nat/token]

    R: share of the new domain in (0, 1), whichever corpus the loss is of; all runs end at one T and start
    from one base. At s -> 0 it is a + b log R, with alpha and beta running off against each other, which is
    where rows at R = 1 drive it: they are left out (Gu et al. 2024, arXiv 2407.17467; `critical`
    holds what follows from it, `cmr_tokens` the laws over T).
    """

    inputs: ClassVar = ("domain_share",)
    linear: ClassVar = {"alpha": Parameter(unit="nat/token"), "beta": Parameter(unit="nat/token")}
    shape: ClassVar = {"s": Parameter(-5, 10, start=(-3, 5))}
    levels: ClassVar = {"domain_share": Levels(("alpha", "s"), needed=3, wanted=4, confounded=("alpha", "s", "beta"))}
    valid: ClassVar = {"domain_share": (0.0, 1.0)}
    one: ClassVar = ("tokens", "num_params")

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """R^s, 1. shape (..., 1), columns name -> (n,). Returns (..., n, 2)."""
        (s,) = spread(shape)
        return stack_terms(np.exp(s * _log_share(columns)), np.ones_like(s))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/ds = alpha R^s log R. Returns (..., n, 1)."""
        alpha, *_ = spread(theta)
        return stack_terms(alpha * basis[..., 0] * _log_share(columns))


def _log_share(columns: Mapping[str, Array]) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(columns["domain_share"])
