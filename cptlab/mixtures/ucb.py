"""A bandit over corpora (DUMP, Wang et al. 2025, arXiv 2504.09710), its reward the change of the valid loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.adaptive import AdaptiveMixture, Evidence
from cptlab.mixtures.base import Array
from cptlab.variants import variant


@variant("mixture", "ucb")
@dataclass(kw_only=True)
class UCB(AdaptiveMixture):
    """w = softmax(score / temperature), score_i = m_i / max_j m_j + exploration sqrt(2 ln(n + 1) / (n_i + 1)).

    m_i: mean |change of the valid loss of corpus i| over the last `window` decisions; n_i: rows of it drawn so far,
    n = sum n_i. DUMP scores the mean |advantage| itself, which is of order 1; a change of loss is not, so it is taken
    over the largest one, and the temperature of .1, sharp for that scale, is .5 here. The size counts, not the sign:
    a corpus that is being forgotten is learnable too.
    """

    temperature: float = 0.5  # above 0; small = nearly all to the best score
    exploration: float = 1.0  # weight of the bonus for corpora drawn little, 0 or more
    window: int = 300  # decisions over which changes are averaged, 1 or more

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise UserError(f"mixture.temperature is {self.temperature}; it must be above 0")
        if self.exploration < 0:
            raise UserError(f"mixture.exploration is {self.exploration}; it must be 0 or more")
        if self.window < 1:
            raise UserError(f"mixture.window is {self.window}; it must be 1 or more")

    def decide(self, history: Sequence[Evidence]) -> Array:
        """From the window of changes and all rows drawn."""
        scores = self.scores(history)
        shares = np.exp((scores - scores.max()) / self.temperature)
        return self.floored(shares)

    def scores(self, history: Sequence[Evidence]) -> Array:
        """(num_corpora,) upper confidence bounds."""
        changes = np.mean([np.abs(e.now - e.before) for e in history[-self.window :]], axis=0)
        drawn = np.sum([e.rows for e in history], axis=0)
        bonus = np.sqrt(2 * np.log(drawn.sum() + 1) / (drawn + 1))
        return changes / max(changes.max(), 1e-12) + self.exploration * bonus
