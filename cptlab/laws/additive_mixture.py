"""Additive mixture law: loss by size, tokens and the shares of all corpora, three terms side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cptlab.laws.base import Array, Levels, Parameter, stack_terms
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.over_corpora import PREFIX, OverCorpora
from cptlab.variants import variant


@variant("law")
@dataclass(kw_only=True)
class AdditiveMixture(OverCorpora):
    """L = E + A/N^alpha + B/D^beta + K / (h_ref^gamma_ref + sum_j c_j h_j^gamma_j)   [nat/token]

    h: share of a corpus, N: parameters, D: tokens. The published 1 / sum_i C_i h_i^gamma_i with C_ref = 1/K
    and C_j = c_j / K, which makes K a coefficient. The best mixture depends on neither N nor D (Shukor et al.
    2025, arXiv 2507.09404, additive law). At one mixture it is Chinchilla.
    """

    linear: ClassVar = {**Chinchilla.linear, "K": Parameter(0, np.inf, "nat/token")}
    shape: ClassVar = Chinchilla.shape
    inputs: ClassVar = ("num_params", "tokens")
    direction: ClassVar = Chinchilla.direction

    def declare(self, others: list[str]) -> Mapping[str, Any]:
        """Every corpus has an input and a gamma, every corpus but the reference a c."""
        every = [self.reference, *others]
        ratio = {f"c_{name}": Parameter(1e-3, 1e3, start=(1e-2, 1e2)) for name in others}
        power = {f"gamma_{name}": Parameter(0.01, 3, start=(0.05, 1.5)) for name in every}
        one = ("K", *ratio, *power)
        return {
            "inputs": (*AdditiveMixture.inputs, *(PREFIX + name for name in every)),
            "shape": {**AdditiveMixture.shape, **ratio, **power},
            "levels": {
                **Chinchilla.levels,
                **{PREFIX + name: Levels(one, needed=3, wanted=4, confounded=("E", *one)) for name in every},
            },
        }

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, N^-alpha, D^-beta, 1 / sum c h^gamma. shape (..., 2m + 1), columns name -> (n,). Returns (..., n, 4)."""
        shape = np.asarray(shape)
        alpha, beta = shape[..., :1], shape[..., 1:2]
        log_N, log_D = np.log(columns["num_params"]), np.log(columns["tokens"])
        parts = self._parts(shape, columns)[0]
        return stack_terms(
            np.ones_like(alpha), np.exp(-alpha * log_N), np.exp(-beta * log_D), 1 / parts.sum(axis=-2)
        )  # fmt: skip

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By alpha, beta, every c_j and every gamma. Returns (..., n, 2m + 1)."""
        theta = np.asarray(theta)
        _, A, B, K = np.moveaxis(theta[..., :4, None], -2, 0)
        parts, log_h, c = self._parts(theta[..., 4:], columns)
        falls = -(K * basis[..., 3] ** 2)[..., None, :] * parts  # dL/dlog part, (..., m, n)
        first = np.stack(np.broadcast_arrays(
            -A * np.log(columns["num_params"]) * basis[..., 1], -B * np.log(columns["tokens"]) * basis[..., 2]
        ), axis=-2)  # fmt: skip
        both = np.concatenate([first, falls[..., 1:, :] / c[..., 1:, None], falls * log_h], axis=-2)
        return np.swapaxes(both, -1, -2)

    def _parts(self, shape: Array, columns: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """c_i h_i^gamma_i (..., m, n), 0 at h = 0; log h (m, n); c (..., m). The reference comes first."""
        names = [name.removeprefix(PREFIX) for name in self.inputs[2:]]
        m = len(names)
        h = self.shares(columns, names)
        log_h = np.log(np.where(h > 0, h, 1.0))
        c = np.concatenate([np.ones_like(shape[..., :1]), shape[..., 2 : m + 1]], axis=-1)
        parts = np.where(h > 0, c[..., None] * np.exp(shape[..., m + 1 :, None] * log_h), 0.0)
        return parts, log_h, c
