"""The same shares from start to end. `mixture=domain_only` and `mixture=general_only` are its two ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import check_share, check_shares, given_row
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class Static(Mixture):
    """Either `domain_share` of one domain against the general corpus, or `shares` of any number of corpora."""

    domain_share: float = 0.5  # share of the new domain in all tokens, in [0, 1]; the rest is general
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces domain_share

    def __post_init__(self) -> None:
        check_share(self.domain_share, "mixture.domain_share")
        check_shares(self.shares, "mixture.shares")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        return np.tile(given_row(self.shares, self.domain_share, self.domain, corpora, general), (len(u), 1))
