"""A budget of tokens: the documents of highest score until it is spent."""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.selection.base import Array, Mask, ScoredSelection, Tokens


@dataclass(kw_only=True)
class BudgetedSelection(ScoredSelection):
    """Keeps `tokens`, or a share of the corpus, best first."""

    tokens: float = 0.0  # [token] of training documents to keep, at most; 0 = by `share`
    share: float = 0.5  # share of the corpus's training tokens to keep, in (0, 1]

    def __post_init__(self) -> None:
        if not self.tokens >= 0:
            raise UserError(f"selection.tokens is {self.tokens}; it must be 0 (by selection.share) or more")
        if not 0 < self.share <= 1:
            raise UserError(f"selection.share is {self.share}; it must lie in (0, 1]")

    def keep(self, scores: Array, tokens: Tokens) -> Mask:
        """Documents in falling score, ties in reading order, as long as their tokens fit in the budget together."""
        total = int(tokens.sum())
        if self.tokens > total:
            raise UserError(
                f"selection.tokens is {self.tokens:g} but the corpus has {total:g} training tokens to choose from;"
                " ask for fewer, or use selection=none"
            )
        budget = self.tokens or self.share * total
        order = np.argsort(-scores, kind="stable")
        kept = np.zeros(len(scores), dtype=bool)
        kept[order[np.cumsum(tokens[order]) <= budget]] = True
        return kept
