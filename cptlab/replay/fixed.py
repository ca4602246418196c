"""A fixed share of every block is drawn from a named corpus (Ibrahim et al. 2024, arXiv 2403.08763)."""

from dataclasses import dataclass

import numpy as np

from cptlab.replay.base import Array, Replay, check_share
from cptlab.variants import variant


@variant("replay", "fixed")
@dataclass(kw_only=True)
class FixedReplay(Replay):
    """`replay_share` of the tokens from `corpus`, at any time."""

    replay_share: float = 0.05  # share of all tokens, in [0, 1)

    def __post_init__(self) -> None:
        check_share("replay.replay_share", self.replay_share)

    def share(self, u: Array) -> Array:
        """`replay_share` everywhere."""
        return np.full_like(u, self.replay_share, dtype=np.float64)
