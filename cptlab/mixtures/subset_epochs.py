"""Several epochs over a part of the new domain (stability gap, Guo et al. 2024, arXiv 2406.14833).

The paper's three strategies: a subset of a proper size for several epochs, the subset of best quality, and the shares
of the pre-training data; the third is `shares` or `domain_share`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Array, Mixture, RowSet
from cptlab.mixtures.scores import best_first, content_of, wanted
from cptlab.mixtures.shares import check_names, check_share, check_shares, given_row
from cptlab.variants import variant

CHOICES = ("random", "best")


@variant("mixture")
@dataclass(kw_only=True)
class SubsetEpochs(Mixture):
    """The shares of `static`; of each corpus in `subset_of` only as many rows as the run reads `epochs` times."""

    domain_share: float = 0.5  # share of the new domain in all tokens, in [0, 1]; the rest is general
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces domain_share
    epochs: float = 5.0  # passes over each subset in the whole run, 1 or more
    subset_rows: int = 0  # rows of each subset whatever the length of the run; 0 = from epochs
    subset_of: list[str] = field(default_factory=list)  # corpora; [] = all but the general one
    scores: dict[str, str] = field(default_factory=dict)  # corpus -> .npy file of one score a row, for choose=best
    choose: str = "random"  # random: one fixed draw, a smaller one part of a larger; best: the rows of highest score

    def __post_init__(self) -> None:
        check_share(self.domain_share, "mixture.domain_share")
        check_shares(self.shares, "mixture.shares")
        if self.choose not in CHOICES:
            raise UserError(f"mixture.choose is {self.choose}.{closest(self.choose, CHOICES)}")
        if self.epochs < 1:
            raise UserError(f"mixture.epochs is {self.epochs}; it must be 1 or more")
        if self.subset_rows < 0:
            raise UserError(f"mixture.subset_rows is {self.subset_rows}; it must be 0 or more")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        return np.tile(given_row(self.shares, self.domain_share, self.domain, corpora, general), (len(u), 1))

    def row_sets(self, corpora: Sequence[str], general: str) -> Mapping[str, RowSet]:
        """The subset of each corpus that has a share; an epoch of it is drawn in a new order every time."""
        check_names([*self.subset_of, *self.scores], corpora, "mixture.subset_of or mixture.scores")
        row = given_row(self.shares, self.domain_share, self.domain, corpora, general)
        return {
            name: self._subset(name, share) for name, share in wanted(self.subset_of, corpora, general, row).items()
        }

    def identity(self) -> dict:
        """Scores by their content."""
        return {"scores": content_of(self.scores)}

    def _subset(self, name: str, share: float) -> RowSet:
        fact, drawn = self.fact(name), share * self.rows_total
        count = self.subset_rows or max(1, ceil(drawn / self.epochs - 1e-9))
        if count > fact.rows:
            raise UserError(
                f"mixture=subset_epochs wants {count} rows of {name}, which has {fact.rows}: the run reads it"
                f" {drawn / fact.rows:.3g} times; raise mixture.epochs or lower mixture.subset_rows"
            )
        if self.choose == "random":
            return RowSet(count)
        return RowSet(count, np.sort(best_first(self.scores, name, fact.rows)[:count]))
