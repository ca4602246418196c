"""Stages with different shares, one after the other (Crystal, arXiv 2411.04156; DAPT then TAPT, arXiv 2004.10964).

A stage ends where the sum of the fractions so far is reached; the step whose tokens reach it belongs to it. Equal
stages are `static` bit by bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import TOLERANCE, check_share, check_shares, given_row
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class Phased(Mixture):
    """`fractions` of the run and, for each, a domain share or the shares of any number of corpora."""

    fractions: list[float] = field(default_factory=lambda: [0.5, 0.5])  # of all tokens, each above 0, sum to 1
    domain_shares: list[float] = field(default_factory=lambda: [0.2, 0.8])  # of the new domain, one a stage, in [0, 1]
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    shares: list[dict[str, float]] = field(default_factory=list)  # one mapping a stage; replaces domain_shares

    def __post_init__(self) -> None:
        for i, fraction in enumerate(self.fractions):
            if not 0 < fraction <= 1:
                raise UserError(f"mixture.fractions[{i}] is {fraction}; it must lie in (0, 1]")
        if abs(sum(self.fractions) - 1) > TOLERANCE:
            raise UserError(
                f"mixture.fractions sum to {sum(self.fractions):g}; they must sum to 1: the stages cover the run"
            )
        key, given = ("shares", self.shares) if self.shares else ("domain_shares", self.domain_shares)
        if len(given) != len(self.fractions):
            raise UserError(f"mixture.{key} has {len(given)} stages, mixture.fractions {len(self.fractions)}; one each")
        for i, share in enumerate(self.domain_shares):
            check_share(share, f"mixture.domain_shares[{i}]")
        for i, shares in enumerate(self.shares):
            if not shares:
                raise UserError(f"mixture.shares[{i}] is empty; name the corpora of the stage")
            check_shares(shares, f"mixture.shares[{i}]")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The row of the stage that u lies in."""
        stages = self.shares or [{} for _ in self.fractions]
        shares = self.domain_shares if not self.shares else [0.0] * len(stages)
        rows = [given_row(s, d, self.domain, corpora, general) for s, d in zip(stages, shares, strict=True)]
        ends = np.cumsum(self.fractions)[:-1]
        # A hair of tolerance: .3 + .6 of 10 steps must end with the ninth.
        return np.array(rows)[np.searchsorted(ends + 1e-9, u)]
