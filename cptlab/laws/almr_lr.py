"""ALMR x LR: a response surface over the share of the added language and the learning rate.

No formula is published for this question; the surface is the second-order one of response surface
methodology (Box and Wilson 1951). A single optimal ratio at every LR is the special case of cxz = 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cptlab.errors import UserError
from cptlab.laws.base import Array, Law, Levels, Parameter, stack_terms
from cptlab.variants import variant

NAT = Parameter(unit="nat/token")


@variant("law")
@dataclass(kw_only=True)
class AlmrLr(Law):
    """L = c0 + cx x + cz z + cxx x^2 + cxz x z + czz z^2,  x = logit R,  z = log(peak LR / lr_unit)   [nat/token]

    R: share of the new domain in (0, 1). All runs of one size, equally long. Linear in every parameter, so a
    weighted sum of several domains' surfaces is again one, with the weighted parameters: that sum, not one
    domain's loss, has its optimum inside. Local: no further than the measured box (question of Xi et al.
    2024, arXiv 2409.06624).
    """

    lr_unit: float = 1e-5  # [1] learning rate where z = 0; positive

    inputs: ClassVar = ("domain_share", "peak_lr")
    linear: ClassVar = {"c0": NAT, "cx": NAT, "cz": NAT, "cxx": NAT, "cxz": NAT, "czz": NAT}
    shape: ClassVar = {}
    levels: ClassVar = {
        "domain_share": Levels(("cx", "cxx", "cxz"), needed=3, confounded=("cx", "cxx")),
        "peak_lr": Levels(("cz", "czz", "cxz"), needed=3, confounded=("cz", "czz")),
    }
    valid: ClassVar = {"domain_share": (0.0, 1.0), "peak_lr": (0.0, np.inf)}
    one: ClassVar = ("tokens", "num_params")

    def __post_init__(self) -> None:
        if not self.lr_unit > 0:
            raise UserError(f"law.lr_unit is {self.lr_unit}; it must be a positive learning rate")

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, x, z, x^2, x z, z^2. shape (..., 0), columns name -> (n,). Returns (..., n, 6)."""
        share = columns["domain_share"]
        with np.errstate(divide="ignore"):
            x, z = np.log(share) - np.log1p(-share), np.log(columns["peak_lr"] / self.lr_unit)
        terms = stack_terms(np.ones_like(x), x, z, x * x, x * z, z * z)
        return np.broadcast_to(terms, (*np.shape(shape)[:-1], *terms.shape))

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """No shape parameters: (..., n, 0)."""
        return np.empty((*basis.shape[:-1], 0))

    def best_share(self, theta: Array, peak_lr: ArrayLike) -> Array:
        """Share of least loss at each LR (m,): (..., m); NaN where the surface has no minimum in the share."""
        _, cx, _, cxx, cxz, _ = np.moveaxis(np.asarray(theta, float)[..., None], -2, 0)
        z = np.log(np.asarray(peak_lr, float) / self.lr_unit)
        return _share(np.where(cxx > 0, -(cx + cxz * z) / np.where(cxx > 0, 2 * cxx, 1), np.nan))

    def optimum(self, theta: Array) -> tuple[Array, Array]:
        """Share and LR of least loss, each (...,); NaN where the surface has no minimum (a saddle, a slope).

        Over the draws of a fit (or the weighted sum of several fits' draws) this gives the optimum's
        uncertainty, and the share of NaN the chance that there is none.
        """
        _, cx, cz, cxx, cxz, czz = np.moveaxis(np.asarray(theta, float), -1, 0)
        determinant = 4 * cxx * czz - cxz**2
        minimum = (cxx > 0) & (determinant > 0)
        safe = np.where(minimum, determinant, 1.0)
        x = np.where(minimum, (cxz * cz - 2 * czz * cx) / safe, np.nan)
        z = np.where(minimum, (cxz * cx - 2 * cxx * cz) / safe, np.nan)
        return _share(x), self.lr_unit * np.exp(z)


def _share(logit: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
