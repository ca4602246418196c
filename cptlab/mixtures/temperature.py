"""Shares from the sizes of the corpora, flattened by a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import proportional
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class Temperature(Mixture):
    """p_i proportional to n_i^(1/T), n_i the train tokens of corpus i.

    T = 1 samples in proportion to size, large T nearly uniformly (Devlin et al. 2018, multilingual BERT: 1/T = .7;
    mT5, arXiv 2010.11934: 1/T = .3).
    """

    temperature: float = 1.0  # T, above 0; 1 = proportional, 3.33 = mT5

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserError(f"mixture.temperature is {self.temperature}; it must be above 0")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        sizes = np.array([self.fact(name).num_tokens for name in corpora], dtype=np.float64)
        # Sizes over the largest: a small T would overflow otherwise.
        row = proportional((sizes / max(sizes.max(), 1.0)) ** (1 / self.temperature), "sizes of the corpora")
        return np.tile(row, (len(u), 1))
