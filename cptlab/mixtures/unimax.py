"""Uniform shares, but no corpus above a number of epochs (UniMax, Chung et al. 2023, arXiv 2304.09151)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture
from cptlab.variants import variant


@variant("mixture", "unimax")
@dataclass(kw_only=True)
class UniMax(Mixture):
    """Algorithm 1: from the smallest corpus up, each gets min(what is left / corpora left, max_epochs * its size).

    Counted in rows of the run and of the corpora. The paper divides by the sum where the caps leave some of the
    budget over, which repeats every corpus more often than the cap; that is refused here.
    """

    max_epochs: float = 1.0  # N: most passes over a corpus in the whole run, above 0

    def __post_init__(self) -> None:
        if not self.max_epochs > 0:
            raise UserError(f"mixture.max_epochs is {self.max_epochs}; it must be above 0")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        sizes = np.array([self.fact(name).rows for name in corpora], dtype=np.float64)
        given = unimax(sizes, float(self.rows_total), self.max_epochs)
        if given.sum() < self.rows_total * (1 - 1e-9):
            raise UserError(
                f"mixture.max_epochs={self.max_epochs:g} allows {given.sum():g} of the run's {self.rows_total} rows;"
                f" raise it to {self.rows_total / sizes.sum():.4g} or more, or lower tokens"
            )
        return np.tile(given / given.sum(), (len(u), 1))


def unimax(sizes: Array, budget: float, max_epochs: float) -> Array:
    """What each corpus gets of the budget: (n,) sizes in any unit -> (n,) in the same unit."""
    given = np.zeros(len(sizes))
    left = budget
    for place, i in enumerate(np.argsort(sizes, kind="stable")):
        given[i] = min(left / (len(sizes) - place), max_epochs * sizes[i])
        left -= given[i]
    return given
