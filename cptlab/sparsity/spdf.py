"""`sparsity=spdf`: masks that never move, then dense training.

Sparse pre-training, dense fine-tuning (Thangarasa et al. 2023, SPDF, arXiv 2303.10464): a fixed share of each matrix is
zero up to `dense_from`; then the mask is taken off. Masked weights are zero at that point, so that nothing changes in
what the model says, and from the next step on they learn. `dense_from=1` leaves a sparse model; a later run with
`sparsity=none` from its weights is the dense phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.sparsity.base import Array, Sparsity, check_share, check_target
from cptlab.variants import variant

CHOSEN = ("random", "magnitude")


@variant("sparsity", "spdf")
@dataclass(kw_only=True)
class SPDF(Sparsity):
    """The mask is drawn before the first step, from the seed of the run, or leaves the largest weights of the base."""

    sparsity: float = 0.5  # share of each matrix's weights that is masked, in [0, 1)
    dense_from: float = 0.5  # share of the run after which all weights learn, in [0, 1]; 1 = sparse to the end
    chosen: str = "random"  # random (the paper's, from scratch) or magnitude (the smallest of the base's weights)

    def __post_init__(self) -> None:
        check_target(self.sparsity)
        check_share("dense_from", self.dense_from)
        if self.chosen not in CHOSEN:
            raise UserError(f"sparsity.chosen is {self.chosen}.{closest(self.chosen, CHOSEN)}")

    def masked(self, u: Array) -> Array:
        """All or nothing."""
        return np.where((u < self.dense_from - 1e-12) | (self.dense_from == 1), self.sparsity, 0.0)
