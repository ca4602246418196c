"""Keep the documents of highest score, by tokens.

The high-quality subset that shortens the stability gap (Guo et al. 2024, arXiv 2406.14833).
"""

from dataclasses import dataclass

from cptlab.data.sources.base import Documents
from cptlab.errors import UserError
from cptlab.selection.base import Array, Reader
from cptlab.selection.budget import BudgetedSelection
from cptlab.selection.quality_threshold import column_scores
from cptlab.variants import variant


@variant("selection", "quality_topk")
@dataclass(kw_only=True)
class QualityTopK(BudgetedSelection):
    """A smaller budget keeps a subset of what a larger one keeps."""

    score: str = "score"  # field (JSON lines) or column (Parquet) of numbers beside the text

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.score:
            raise UserError("selection.score is empty; name the field or column of the scores")
        self.score_column = self.score

    def scores(self, training: Reader, documents: Documents) -> Array:
        """The column."""
        return column_scores(training)
