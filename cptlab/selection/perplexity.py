"""Keep the documents whose loss under a small model lies between two quantiles.

Both ends are pruned: what a model finds trivial is repetition, what it finds impossible is often noise. The middle is
kept by default (Marion et al. 2023, arXiv 2309.04564); small models rank well enough (Ankner et al. 2024, arXiv
2405.20541).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cptlab.data.sources.base import Documents
from cptlab.errors import UserError
from cptlab.selection.base import Array, Mask, Reader, ScoredSelection, Tokens
from cptlab.selection.language_model import load_judge, model_hash
from cptlab.variants import variant


@variant("selection")
@dataclass(kw_only=True)
class Perplexity(ScoredSelection):
    """Mean loss [nat/token] of a document's first tokens under `model`; perplexity is its exponential."""

    model: str = ""  # folder of a finished run or of a Hugging Face model, with its tokenizer; required
    low: float = 0.25  # quantile of the documents below which they are dropped, in [0, 1)
    high: float = 0.75  # quantile above which they are dropped, in (low, 1]
    max_tokens: int = 512  # [token] of each document that the model reads, 2 or more

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("selection=perplexity needs selection.model=RUN_FOLDER or selection.model=MODEL_FOLDER")
        if not 0 <= self.low < self.high <= 1:
            raise UserError(
                f"selection: low={self.low} and high={self.high} are quantiles; 0 <= low < high <= 1 must hold"
            )
        if self.max_tokens < 2:
            raise UserError(f"selection.max_tokens is {self.max_tokens}; it must be 2 or more")

    def pointed_at(self) -> Mapping[str, str]:
        """The model's content."""
        return {"model": model_hash(self.model)}

    def scores(self, training: Reader, documents: Documents) -> Array:
        """The mean losses."""
        return load_judge(self.model, self.max_tokens).losses(document.text for document in training())

    def keep(self, scores: Array, tokens: Tokens) -> Mask:
        """Both quantiles included."""
        low, high = np.quantile(scores, [self.low, self.high])
        return (scores >= low) & (scores <= high)
