"""Gradients of optimal transport for data selection (Kang et al. 2024, "Get more for less", arXiv 2405.02774).

The documents that, given more mass, bring the corpus nearest to a target in optimal transport. With f the dual
potentials of the corpus's n documents in the transport with entropy epsilon to the target, the calibrated gradient
(Just et al. 2023, LAVA, arXiv 2305.00054)

    g_i = f_i - sum_{j != i} f_j / (n - 1)

is the derivative of the transport cost when mass moves to document i from all others alike; those of most negative g
are kept, until the token budget is spent. The corpus stands for what the base was trained on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cptlab.data.sources.base import Documents, content_id, unit_hash
from cptlab.errors import UserError, closest
from cptlab.selection.base import Array, Reader
from cptlab.selection.budget import BudgetedSelection
from cptlab.selection.language_model import load_judge, model_hash
from cptlab.selection.ngrams import counts_of
from cptlab.selection.target import target_hash, target_texts
from cptlab.variants import variant

EMBEDDINGS = ("ngrams", "model")
CELLS = 200_000_000  # entries of the cost matrix, 8 bytes each


@variant("selection", "got_d")
@dataclass(kw_only=True)
class GotD(BudgetedSelection):
    """Cost of two documents: 1 - cosine of their embeddings, half the squared distance of unit vectors."""

    target: str = ""  # corpus of data, or file, folder or glob of texts; required
    text_key: str = "text"  # field or column of the text in the target's files
    entropy: float = 0.1  # epsilon, in units of the cost; above 0
    embedding: str = "ngrams"  # ngrams (hashed, no model), or model (mean last hidden state of selection.model)
    model: str = ""  # folder of a finished run or of a Hugging Face model; for embedding=model
    max_tokens: int = 512  # [token] of each document that the model reads
    buckets: int = 1024  # width of the hashed n-grams, 1 or more
    targets: int = 1000  # documents of the target that are looked at, at most, chosen by hash; 1 or more

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target:
            raise UserError("selection=got_d needs selection.target=CORPUS or selection.target=FILE")
        if self.embedding not in EMBEDDINGS:
            raise UserError(f"selection.embedding is {self.embedding}.{closest(self.embedding, EMBEDDINGS)}")
        if (self.embedding == "model") != bool(self.model):
            raise UserError(f"selection.embedding={self.embedding} with selection.model={self.model or 'empty'}; "
                            "embedding=model and a model's folder go together")  # fmt: skip
        if not self.entropy > 0:
            raise UserError(f"selection.entropy is {self.entropy}; it must be above 0")
        if self.buckets < 1 or self.targets < 1 or self.max_tokens < 1:
            raise UserError(
                f"selection: buckets={self.buckets}, targets={self.targets}, max_tokens={self.max_tokens} must be 1 or"
                " more"
            )

    def pointed_at(self) -> Mapping[str, str]:
        """The target's and the model's content."""
        return {"target": target_hash(self.target), "model": model_hash(self.model) if self.model else ""}

    def scores(self, training: Reader, documents: Documents) -> Array:
        """Minus the calibrated gradient of every training document."""
        texts = sorted(
            target_texts(self.target, self.text_key, documents), key=lambda t: unit_hash(content_id(t), "got_d")
        )
        number = sum(1 for _ in training())
        if number < 2 or not texts:
            raise UserError(
                f"selection=got_d compares {number} documents with {len(texts)} of {self.target}; give more"
            )
        if number * min(self.targets, len(texts)) > CELLS:
            raise UserError(
                f"selection=got_d compares {number} documents with {min(self.targets, len(texts))} of the target,"
                f" more than {CELLS:g} pairs; lower selection.targets, or use selection=dsir"
            )
        ours, theirs = self.embed(d.text for d in training()), self.embed(texts[: self.targets])
        return -calibrated_gradient(1 - ours @ theirs.T, self.entropy)

    def embed(self, texts: Iterable[str]) -> Array:
        """Unit vectors: (n, width); a text without words is the zero vector, at cost 1 of every other."""
        if self.embedding == "model":
            vectors = load_judge(self.model, self.max_tokens).embeddings(texts)
        else:
            vectors = np.array([np.sqrt(counts_of(text, self.buckets)) for text in texts])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths, lengths, 1)


def calibrated_gradient(cost: Array, entropy: float) -> Array:
    """g of the module's formula, for equal masses: cost (n, m), n above 1 -> (n,)."""
    f, n = duals(cost, entropy), len(cost)
    return f - (f.sum() - f) / (n - 1)


def duals(cost: Array, entropy: float, rounds: int = 10_000) -> Array:
    """Dual potentials of the rows, (n,), up to a constant; Sinkhorn's algorithm in the log domain, by POT."""
    import ot

    n, m = cost.shape
    masses = np.full(n, 1 / n), np.full(m, 1 / m)
    with np.errstate(over="ignore"):  # POT also exponentiates the potentials, which nothing here reads
        _, log = ot.sinkhorn(
            *masses, cost, entropy, method="sinkhorn_log", numItermax=rounds, stopThr=1e-9, log=True, warn=False
        )
    if not log["err"][-1] < 1e-6:
        raise UserError(f"selection.entropy={entropy} is too small: the transport is not found in {rounds} rounds")
    return entropy * np.asarray(log["log_u"])
