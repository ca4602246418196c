"""Keep the documents whose score reaches a threshold.

The Pretrainer's Guide (Longpre et al. 2024, arXiv 2305.13169) sweeps such thresholds of quality and toxicity
classifiers; a higher threshold keeps a subset of what a lower one keeps.
"""

from dataclasses import dataclass

import numpy as np

from cptlab.data.sources.base import Documents
from cptlab.errors import UserError
from cptlab.selection.base import Array, Mask, Reader, ScoredSelection, Tokens
from cptlab.variants import variant


def column_scores(training: Reader) -> Array:
    """The score that every training document brings: (n,), NaN where it brings none."""
    return np.array([np.nan if d.score is None else d.score for d in training()], dtype=np.float64)


@variant("selection")
@dataclass(kw_only=True)
class QualityThreshold(ScoredSelection):
    """Documents with score from `minimum` to `maximum`; without a score: dropped."""

    score: str = "score"  # field (JSON lines) or column (Parquet) of numbers beside the text
    minimum: float = 0.5
    maximum: float | None = None  # e.g. of a toxicity score; null = no upper end

    def __post_init__(self) -> None:
        if not self.score:
            raise UserError("selection.score is empty; name the field or column of the scores")
        if self.maximum is not None and not self.minimum <= self.maximum:
            raise UserError(f"selection.minimum is {self.minimum}, above selection.maximum = {self.maximum}")
        self.score_column = self.score

    def scores(self, training: Reader, documents: Documents) -> Array:
        """The column."""
        return column_scores(training)

    def keep(self, scores: Array, tokens: Tokens) -> Mask:
        """Both ends included."""
        return (scores >= self.minimum) & (scores <= (np.inf if self.maximum is None else self.maximum))
