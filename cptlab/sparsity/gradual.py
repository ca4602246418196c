"""`sparsity=gradual`: the smallest weights go, more and more of them between two points of the run.

With v = (u - start) / (end - start), held in [0, 1],

    masked(u) = sparsity * (1 - (1 - v)^3)

(Zhu & Gupta 2017, arXiv 1710.01878, eq. 1), by magnitude within each matrix; what is masked stays masked. Jin et al.
2025 (arXiv 2501.12486) prune from 25 to 75 % of the compute: at 50 % final sparsity the mean over the run is
1 - .5 (.5 * 3/4 + .25) = 0.6875 of the masked matrices' weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError
from cptlab.sparsity.base import Array, Sparsity, check_share, check_target
from cptlab.variants import variant


@variant("sparsity", "gradual")
@dataclass(kw_only=True)
class Gradual(Sparsity):
    """`every` steps the masks grow to what the curve says; from `end` on they stay."""

    sparsity: float = 0.5  # share of each matrix's weights that is masked in the end, in [0, 1)
    start: float = 0.25  # share of the run before which nothing is masked, in [0, 1]
    end: float = 0.75  # share of the run from which the final masks stay, from `start` to 1
    every: int = 1  # [step] between two growths, 1 or more

    def __post_init__(self) -> None:
        check_target(self.sparsity)
        check_share("start", self.start)
        check_share("end", self.end, above=self.start)
        if self.every < 1:
            raise UserError(f"sparsity.every is {self.every} steps; it must be 1 or more")

    def masked(self, u: Array) -> Array:
        """The cubic; a jump where start and end are one."""
        if self.end == self.start:
            return np.where(u >= self.end, self.sparsity, 0.0)
        with np.errstate(over="ignore"):  # of a range next to nothing, which is a jump too
            v = np.clip((u - self.start) / (self.end - self.start), 0, 1)
        return self.sparsity * (1 - (1 - v) ** 3)

    def in_force(self, steps: int) -> Array:
        """The curve at the latest multiple of `every`, and at the first step from `end` on."""
        step = np.arange(steps + 1)
        last = step // self.every * self.every
        done = np.ceil(self.end * steps - 1e-9)
        u = last / steps
        return self.masked(np.where(step >= done, np.maximum(u, self.end), u))
