"""The same shares from start to end. `mixture=domain_only` and `mixture=general_only` are its two ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Array, Mixture
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class Static(Mixture):
    """Either `domain_share` of one domain against the general corpus, or `shares` of any number of corpora."""

    domain_share: float = 0.5  # share of the new domain in all tokens, in [0, 1]; the rest is general
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces domain_share

    def __post_init__(self) -> None:
        if not 0 <= self.domain_share <= 1:
            raise UserError(f"mixture.domain_share is {self.domain_share}; it must lie in [0, 1]")
        for name, share in self.shares.items():
            if not 0 <= share <= 1:
                raise UserError(f"mixture.shares.{name} is {share}; it must lie in [0, 1]")
        if self.shares and abs(sum(self.shares.values()) - 1) > 1e-6:
            raise UserError(f"mixture.shares sum to {sum(self.shares.values()):g}; they must sum to 1")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        shares = self.shares or self._two(corpora, general)
        for name in shares:
            if name not in corpora:
                raise UserError(f"mixture names the corpus {name}, which data does not have.{closest(name, corpora)}")
        return np.tile([float(shares.get(name, 0.0)) for name in corpora], (len(u), 1))

    def _two(self, corpora: Sequence[str], general: str) -> dict[str, float]:
        others = [name for name in corpora if name != general]
        if not general and len(corpora) == 1 and not self.domain:
            return {corpora[0]: 1.0}
        if not self.domain and len(others) != 1 and self.domain_share > 0:
            raise UserError(
                f"mixture.domain_share needs one domain but data has {len(others)} beside the general corpus"
                f" ({', '.join(others)}); name it with mixture.domain or give mixture.shares"
            )
        if not general and self.domain_share < 1:
            raise UserError("mixture.domain_share below 1 needs a general corpus; name it with data.general")
        domain = self.domain or (others[0] if others else "")
        shares = {domain: self.domain_share} if domain else {}
        return shares | ({general: 1 - self.domain_share} if general else {})
