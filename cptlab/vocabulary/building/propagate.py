"""Learned Embedding Propagation (Tikhomirov & Chernyshev 2024, arXiv 2412.21140).

A base B was given new tokens and trained on: its embeddings are A. An instruct model I of the same base shall get the
new tokens without instruction tuning. Both old tables are written in the new tokens (means of sub-tokens), M B and
M I; the linear map P that takes the first to the second takes A to the instruct model's new table, A P.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from cptlab.vocabulary.building.rows import lengths

if TYPE_CHECKING:
    from torch import Tensor


def propagated(base: np.ndarray, instruct: np.ndarray, adapted: np.ndarray) -> np.ndarray:
    """A P with P = I + argmin_D |X D - (Y - X)|, the D of least norm; X = base, Y = instruct, both (n, d), float64.

    Least squares for the change, not for P itself: what the rows of X do not span stays as it is, so an instruct
    model that is its base gives A back, also where there are fewer tokens than dimensions.
    """
    change, *_ = np.linalg.lstsq(base, instruct - base, rcond=None)
    return adapted + adapted @ change


@dataclass(frozen=True)
class Propagated:
    """Rows of an instruct model with the tokens of an adapted one.

    mix: (size, old rows) the new tokens in old ones, an empty row = no part in the fit; tables: side -> (base's,
    adapted's); copied: {new id: row of the instruct model} of added special tokens.
    """

    size: int
    mix: csr_array
    tables: Mapping[str, tuple[Tensor, Tensor]]
    copied: Mapping[int, int]

    def apply(self, side: str, old: Tensor, rows: int) -> Tensor:
        """(rows, width), of the type of `old`, which is the instruct model's table."""
        import torch

        base, adapted = (table.double().numpy() for table in self.tables[side])
        instruct = old.double().numpy()
        used = np.flatnonzero(lengths(self.mix) > 0)
        mix = self.mix[used]
        shared = self.mix.shape[1]  # type: ignore[index]
        made = np.tile(instruct.mean(0), (rows, 1))
        count = min(self.size, len(adapted))
        made[:count] = propagated(mix @ base[:shared], mix @ instruct[:shared], adapted[:count])
        new = torch.from_numpy(made).to(old.dtype)
        for after, before in self.copied.items():
            new[after] = old[before]
        return new
