"""Average parameters: Chinchilla for models whose size changes while they train (sparse pre-training)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cptlab.laws.base import Array, Law, Levels
from cptlab.laws.chinchilla import Chinchilla
from cptlab.variants import variant

_CHINCHILLA = Chinchilla()


@variant("law")
@dataclass(kw_only=True)
class AverageParams(Law):
    """L = E + A/Nbar^alpha + B/D^beta   [nat/token]

    Nbar: active parameters averaged over the training steps (`num_params_mean`), D: tokens. A dense model has
    Nbar = N and the law is Chinchilla (Jin et al. 2025, arXiv 2501.12486).
    """

    inputs: ClassVar = ("num_params_mean", "tokens")
    linear: ClassVar = Chinchilla.linear
    shape: ClassVar = Chinchilla.shape
    levels: ClassVar = {
        "num_params_mean": Levels(("A", "alpha"), confounded=("E", "A", "alpha")),
        "tokens": Levels(("B", "beta"), confounded=("E", "B", "beta")),
    }
    direction: ClassVar = {"num_params_mean": -1, "tokens": -1}

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, Nbar^-alpha, D^-beta. shape (..., 2), columns name -> (n,). Returns (..., n, 3)."""
        return _CHINCHILLA.basis(shape, _renamed(columns))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha and beta. Returns (..., n, 2)."""
        return _CHINCHILLA.slopes(theta, basis, _renamed(columns))


def _renamed(columns: Mapping[str, Array]) -> dict[str, Array]:
    return {"num_params": columns["num_params_mean"], "tokens": columns["tokens"]}
