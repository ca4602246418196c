"""Rows of the new domain from easy to hard by the base model's perplexity (Llama-3-SynE, arXiv 2407.18743)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture, RowSet
from cptlab.mixtures.scores import best_first, content_of, wanted
from cptlab.mixtures.shares import check_names, check_share, check_shares, given_row
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class PerplexityCurriculum(Mixture):
    """The shares of `static`; the rows of each corpus in `curriculum_of` come in buckets of rising perplexity.

    The score of a row is minus its mean loss under the base. A run that draws fewer rows than the corpus has takes
    every k-th of them by rank, so that it too goes from the easiest to the hardest; a run that draws more begins again
    with the easiest.
    """

    domain_share: float = 0.5  # share of the new domain in all tokens, in [0, 1]; the rest is general
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces domain_share
    buckets: int = 10  # of about equal size, shuffled inside, 1 or more
    hard_first: bool = False  # from the hardest to the easiest
    scores: dict[str, str] = field(default_factory=dict)  # corpus -> .npy file of one score a row
    curriculum_of: list[str] = field(default_factory=list)  # corpora; [] = all but the general one

    def __post_init__(self) -> None:
        check_share(self.domain_share, "mixture.domain_share")
        check_shares(self.shares, "mixture.shares")
        if self.buckets < 1:
            raise UserError(f"mixture.buckets is {self.buckets}; it must be 1 or more")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        return np.tile(given_row(self.shares, self.domain_share, self.domain, corpora, general), (len(u), 1))

    def row_sets(self, corpora: Sequence[str], general: str) -> Mapping[str, RowSet]:
        """Every corpus of the curriculum that has a share, its rows in order."""
        check_names([*self.curriculum_of, *self.scores], corpora, "mixture.curriculum_of or mixture.scores")
        row = given_row(self.shares, self.domain_share, self.domain, corpora, general)
        chosen = wanted(self.curriculum_of, corpora, general, row)
        return {name: self._ordered(name, share) for name, share in chosen.items()}

    def identity(self) -> dict:
        """Scores by their content."""
        return {"scores": content_of(self.scores)}

    def _ordered(self, name: str, share: float) -> RowSet:
        order = best_first(self.scores, name, self.fact(name).rows)
        drawn = max(1, round(share * self.rows_total))
        if drawn < len(order):
            order = order[((np.arange(drawn) + 0.5) * len(order) / drawn).astype(np.int64)]
        return RowSet(len(order), order[::-1].copy() if self.hard_first else order, min(self.buckets, len(order)))
