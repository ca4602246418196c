"""`regularizer=ewc`: a weight is held the more, the more the old text depends on it.

Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796, eq. 3): strength / 2 * sum_i F_i
(theta_i - theta*_i)^2 with the diagonal of the Fisher information of old text at the base,

    F_i = sum over rows (d sum_t log p(x_t) / d theta_i)^2 / number of tokens   [nat/token per squared weight].

Scores of the tokens of a row are uncorrelated under the model's own text, so the square of their sum over the number
of tokens is the mean square of one: the penalty with strength 1 is the second-order rise of the loss per token on old
text. On a quadratic loss a/2 (theta - t)^2 its minimiser is the Fisher-weighted mean (a t + strength F theta*) / (a +
strength F).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cptlab.errors import UserError, closest
from cptlab.regularizers.base import Quadratic, one_of
from cptlab.variants import variant

LABELS = ("text", "model")


@variant("regularizer", "ewc")
@dataclass(kw_only=True)
class EWC(Quadratic):
    """The Fisher information is measured before the first step, a row at a time, on the training split."""

    strength: float = 1.0  # 1 = the second-order rise of the loss on old text, 0 or more
    corpus: str = ""  # the old text; "" is the general corpus
    rows: int = 64  # rows of data.sequence_length tokens, 1 or more; each costs a forward and a backward pass
    labels: str = "text"  # text (the empirical Fisher) or model (drawn from what it predicts: the true one)

    kept: ClassVar[tuple[str, ...]] = ("anchor", "importance")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("labels", self.labels, LABELS)
        if self.rows < 1:
            raise UserError(f"regularizer.rows is {self.rows}; the Fisher information needs 1 row or more")

    def check_data(self, corpora: Sequence[str], general: str, weights: Path | None) -> None:
        """There is old text to measure on."""
        if not (self.corpus or general):
            raise UserError(
                "regularizer=ewc measures the Fisher information on old text and the study names none; set"
                " regularizer.corpus or data.general to one of its corpora, or use regularizer=l2_to_base, which needs"
                " no data"
            )
        if self.corpus and self.corpus not in corpora:
            raise UserError(f"regularizer.corpus is {self.corpus}, no corpus here.{closest(self.corpus, corpora)}")
