"""Cross-domain D-CPT: one fit for many domains, told apart by two numbers of a short run each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.laws.base import Array, Law, Levels, Parameter, spread
from cptlab.laws.dcpt import DCPT
from cptlab.variants import variant

_DCPT = DCPT()


@variant("law", "dcpt_cross_domain")
@dataclass(kw_only=True)
class DCPTCrossDomain(Law):
    """L = E + A/N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma + F/K^mu,  K = 1/k1 + w k2   [nat/token]

    k1: loss of the domain before the first update, k2: its decline an e-fold of tokens in a short run
    (`cptlab.fitting.short_run` computes both). N, D, r as in D-CPT, which it is at F = 0 and, with another E,
    for one domain. The published K = w1/k1 + w2 k2 has its scale absorbed by F: w = w2/w1 (Que et al. 2024,
    arXiv 2406.01375).
    """

    inputs: ClassVar = (*DCPT.inputs, "k1", "k2")
    linear: ClassVar = {**DCPT.linear, "F": Parameter(0, np.inf, "nat/token")}
    shape: ClassVar = {
        **DCPT.shape,
        "mu": Parameter(0.01, 6),
        "w": Parameter(1e-3, 1e3, start=(1e-2, 1e2)),
    }
    levels: ClassVar = {
        **DCPT.levels,
        "k1": Levels(("F", "mu", "w"), wanted=4, confounded=("E", "F", "mu", "w")),
        "k2": Levels(("w",), wanted=4, confounded=("w",)),
    }
    direction: ClassVar = DCPT.direction

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """The four terms of D-CPT and K^-mu. shape (..., 7), columns name -> (n,). Returns (..., n, 5)."""
        shape = np.asarray(shape)
        mu, w = spread(shape[..., 5:])
        last = np.exp(-mu * np.log(_coefficient(w, columns)))
        return np.concatenate([_DCPT.basis(shape[..., :5], columns), last[..., None]], axis=-1)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """Those of D-CPT, then by mu and w. Returns (..., n, 7)."""
        theta = np.asarray(theta)
        first = _DCPT.slopes(np.delete(theta[..., :10], 4, axis=-1), basis[..., :4], columns)
        (F,), (mu, w) = spread(theta[..., 4:5]), spread(theta[..., 10:])
        K, last = _coefficient(w, columns), F * basis[..., 4]
        rest = np.stack(np.broadcast_arrays(-last * np.log(K), -last * mu * columns["k2"] / K), axis=-1)
        return np.concatenate([first, rest], axis=-1)


def _coefficient(w: Array, columns: Mapping[str, Array]) -> Array:
    """K = 1/k1 + w k2, (..., n)."""
    return 1 / columns["k1"] + w * columns["k2"]
