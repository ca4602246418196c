"""A share of replay that falls, or rises, along the run.

Much replay while the distribution is new, less when the loss has recovered (the stability gap, Guo et al. 2024,
arXiv 2406.14833). `start` = `end` is `replay=fixed`.
"""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.replay.base import Array, Replay, check_share
from cptlab.variants import variant

SHAPES = ("linear", "exponential")


@variant("replay", "decaying")
@dataclass(kw_only=True)
class DecayingReplay(Replay):
    """linear: start + (end - start) u.   exponential: end + (start - end) 2^(-u / half_life)."""

    start: float = 0.25  # share of all tokens at u = 0, in [0, 1)
    end: float = 0.05  # share at u = 1 (linear), or that it tends to (exponential), in [0, 1)
    shape: str = "linear"  # linear or exponential
    half_life: float = 0.2  # share of the run in which the distance to `end` halves, above 0; exponential only

    def __post_init__(self) -> None:
        check_share("replay.start", self.start)
        check_share("replay.end", self.end)
        if self.shape not in SHAPES:
            raise UserError(f"replay.shape is {self.shape}.{closest(self.shape, SHAPES)}")
        if not self.half_life > 0:
            raise UserError(f"replay.half_life is {self.half_life}; it must be above 0")

    def share(self, u: Array) -> Array:
        """Between `start` and `end` everywhere."""
        left = 1 - u if self.shape == "linear" else 2.0 ** (-u / self.half_life)
        return self.end + (self.start - self.end) * np.asarray(left, dtype=np.float64)
