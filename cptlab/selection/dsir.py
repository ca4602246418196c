"""Data selection by importance resampling (Xie et al. 2023, arXiv 2302.03169).

With z the counts of hashed n-grams of a document, p and q the bags of n-grams of the target and of the corpus,

    log w = sum_j z_j log(p_j / q_j),

documents are drawn without replacement in proportion to w: those of highest log w + Gumbel noise, until the token
budget is spent. The authors' package `data-selection` 1.0.3 draws its noise unseeded, in an order that depends on the
number of processes, and reads files only, so the formula is computed here; its log weights agree (tests).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cptlab.data.sources.base import Documents, unit_hash
from cptlab.errors import UserError
from cptlab.selection.base import Array, Reader
from cptlab.selection.budget import BudgetedSelection
from cptlab.selection.ngrams import buckets_of, counts_of
from cptlab.selection.target import target_hash, target_texts
from cptlab.variants import variant

SMOOTHING = 1e-8  # added to every share, as by the authors


@variant("selection", "dsir")
@dataclass(kw_only=True)
class DSIR(BudgetedSelection):
    """Documents that together look like `target`."""

    target: str = ""  # corpus of data, or file, folder or glob of texts; required
    text_key: str = "text"  # field or column of the text in the target's files
    buckets: int = 10_000  # hash buckets of the n-grams, 1 or more
    order: int = 2  # longest n-gram, 1 or more
    seed: int = 0  # of the resampling

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target:
            raise UserError("selection=dsir needs selection.target=CORPUS or selection.target=FILE")
        if self.buckets < 1 or self.order < 1:
            raise UserError(f"selection: buckets={self.buckets} and order={self.order} must be 1 or more")

    def pointed_at(self) -> Mapping[str, str]:
        """The target's content."""
        return {"target": target_hash(self.target)}

    def scores(self, training: Reader, documents: Documents) -> Array:
        """Log importance weight plus Gumbel noise, a pure function of seed and document."""
        noise = [gumbel(f"{self.seed} {number} {document.id}") for number, document in enumerate(training())]
        return self.log_weights(training, target_texts(self.target, self.text_key, documents)) + np.array(noise)

    def log_weights(self, training: Reader, target: Iterable[str]) -> Array:
        """log w of every training document: (n,)."""
        p, q = self.bag(target), self.bag(document.text for document in training())
        ratio = np.log(p + SMOOTHING) - np.log(q + SMOOTHING)
        return np.array([ratio[buckets_of(document.text, self.buckets, self.order)].sum() for document in training()])

    def bag(self, texts: Iterable[str]) -> Array:
        """Share of each bucket in all n-grams of the texts: (buckets,), sums to 1."""
        counts = np.zeros(self.buckets)
        for text in texts:
            counts += counts_of(text, self.buckets, self.order)
        if not counts.sum():
            raise UserError(f"selection.target={self.target} has no words to compare with; give it text")
        return counts / counts.sum()


def gumbel(key: str) -> float:
    """A standard Gumbel number that depends on the key alone."""
    return float(-np.log(-np.log(max(unit_hash(key, "gumbel"), 2.0**-64))))
