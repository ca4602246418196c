"""A fixed share of every block is drawn from a named corpus (Ibrahim et al. 2024, arXiv 2403.08763)."""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.replay.base import Array, Replay
from cptlab.variants import variant


@variant("replay", "fixed")
@dataclass(kw_only=True)
class FixedReplay(Replay):
    """`replay_share` of the tokens from `corpus`, at any time."""

    replay_share: float = 0.05  # share of all tokens, in [0, 1)

    def __post_init__(self) -> None:
        if not 0 <= self.replay_share < 1:
            raise UserError(f"replay.replay_share is {self.replay_share}; it must lie in [0, 1)")

    def share(self, u: Array) -> Array:
        """`replay_share` everywhere."""
        return np.full_like(u, self.replay_share, dtype=np.float64)
