"""More of what the model is losing (topic-based mixture of Llama-3-SynE, Chen et al. 2024, arXiv 2407.18743)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.adaptive import AdaptiveMixture, Evidence
from cptlab.mixtures.base import Array
from cptlab.variants import variant


@variant("mixture")
@dataclass(kw_only=True)
class TopicAdaptive(AdaptiveMixture):
    """w_i proportional to w_i (1 + rate d_i), d_i = (PPL_i - PPL_i before) / PPL_i before, cut to [-limit, limit].

    PPL is the perplexity on the valid split, `before` that of the last decision: the corpus whose perplexity rose most
    gains most, one that fell loses. With a topic a corpus, this is the paper's adjustment; cut and floor are ours.
    """

    rate: float = 1.0  # how far a change of perplexity moves a share, above 0; rate * limit below 1
    limit: float = 0.5  # largest relative change that counts, above 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.rate > 0 and self.limit > 0 and self.rate * self.limit < 1):
            raise UserError(
                f"mixture.rate={self.rate} and mixture.limit={self.limit} must be above 0 with a product below 1"
            )

    def decide(self, history: Sequence[Evidence]) -> Array:
        """From the last evidence alone."""
        last = history[-1]
        # Compared in logs first: the perplexity of a loss above 700 nat overflows.
        change = np.clip(np.expm1(np.clip(last.now - last.before, -50, 50)), -self.limit, self.limit)
        return self.floored(last.weights * (1 + self.rate * change))
