"""No replay: every row comes from the mixture."""

from dataclasses import dataclass

import numpy as np

from cptlab.replay.base import Array, Replay
from cptlab.variants import variant


@variant("replay", "none")
@dataclass(kw_only=True)
class NoReplay(Replay):
    """Share 0."""

    def share(self, u: Array) -> Array:
        """0 everywhere."""
        return np.zeros_like(u, dtype=np.float64)
