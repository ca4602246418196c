"""A new language with code beside it (code-augmented CPT, arXiv 2504.04152): `static` with names to fill in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.mixtures.base import Array
from cptlab.mixtures.shares import given_row
from cptlab.mixtures.static import Static
from cptlab.variants import variant

LANGUAGE = "language"  # in `shares`: the corpus of that name, or the general corpus where there is none


@variant("mixture")
@dataclass(kw_only=True)
class CodeAugmented(Static):
    """The shares of `static`; `language` stands for the general corpus where data has no corpus of that name."""

    shares: dict[str, float] = field(default_factory=lambda: {LANGUAGE: 0.75, "code": 0.25})

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        shares = dict(self.shares)
        if LANGUAGE in shares and LANGUAGE not in corpora and general:
            shares[general] = shares.get(general, 0.0) + shares.pop(LANGUAGE)
        return np.tile(given_row(shares, self.domain_share, self.domain, corpora, general), (len(u), 1))

    def identity(self) -> dict:
        """That of `static`, which it is once the names are filled in."""
        return {"variant": "static"}
