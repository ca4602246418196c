"""Data mixing law: loss of one domain as an exponential of the shares of all corpora."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cptlab.laws.base import Array, Levels, Parameter, stack_terms
from cptlab.laws.over_corpora import PREFIX, OverCorpora
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class Mixing(OverCorpora):
    """L = c + k exp(sum_j t_j r_j)   [nat/token]

    r_j: share of corpus j; all runs of one size, equally long. Shares sum to 1, so a common shift of all t
    is a factor of k: t of the reference corpus is 0 here, and t_j is the difference from it. With two corpora
    it is c + exp(t r + b), k = e^b (Ye et al. 2024, arXiv 2403.16952, one validation domain).
    """

    linear: ClassVar = {"c": Parameter(0, 10, "nat/token"), "k": Parameter(0, np.inf, "nat/token")}
    shape: ClassVar = {}
    inputs: ClassVar = ()
    one: ClassVar = ("tokens", "num_params")

    def declare(self, others: list[str]) -> Mapping[str, Any]:
        """One input and one t for every corpus but the reference."""
        return {
            "inputs": tuple(PREFIX + name for name in others),
            "shape": {f"t_{name}": Parameter(-30, 30, start=(-6, 6)) for name in others},
            "levels": {
                PREFIX + name: Levels((f"t_{name}",), wanted=4, confounded=("c", "k", f"t_{name}")) for name in others
            },
        }

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, exp(t . r). shape (..., m - 1), columns name -> (n,). Returns (..., n, 2)."""
        power = np.exp(np.asarray(shape) @ self._shares(columns))
        return stack_terms(np.ones_like(power[..., :1]), power)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """dL/dt_j = k r_j exp(t . r). Returns (..., n, m - 1)."""
        k_power = np.asarray(theta)[..., 1, None] * basis[..., 1]
        return k_power[..., None] * self._shares(columns).T

    def _shares(self, columns: Mapping[str, Array]) -> Array:
        return self.shares(columns, [name.removeprefix(PREFIX) for name in self.inputs])
