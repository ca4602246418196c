"""Do two corpora pull the weights the same way? From dot products of their gradients at one step.

    cosine[i, j]    = g_i . g_j / (|g_i| |g_j|)       in [-1, 1]; negative: they conflict
    influence[i, j] = g_i . g_j / |g_j|^2             what a step down g_i gains on j, over what a step down g_j gains

An update -lr g_i changes the loss of j by -lr g_i . g_j to first order, which is what influence measures: it has a
direction (i trained, j judged) where the cosine has none. Each gradient is the mean of two halves of its rows; the
halves of one corpus agree with a cosine below 1 by noise alone, which bounds every cosine from above (`agreement`).
`corrected` divides that out: g_i . g_j / sqrt((a_i . b_i)(a_j . b_j)), NaN where the halves of a corpus disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.metrics.measured import Z, finite

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """gram: (2k, 2k) dot products of half gradients, in the order a_0, b_0, a_1, b_1, ... of the k corpora."""

    corpora: Sequence[str]
    gram: Array

    def __post_init__(self) -> None:
        if self.gram.shape != (2 * len(self.corpora),) * 2:
            raise ValueError(f"{len(self.corpora)} corpora need a matrix of twice as many rows, not {self.gram.shape}")

    @property
    def dot(self) -> Array:
        """g_i . g_j, (k, k)."""
        return self._halves.mean(axis=(1, 3))

    @property
    def norm(self) -> Array:
        """|g_i|, (k,)."""
        return np.sqrt(np.diag(self.dot))

    @property
    def cosine(self) -> Array:
        """(k, k), symmetric."""
        return self.dot / np.outer(self.norm, self.norm)

    @property
    def cosine_se(self) -> Array:
        """Standard error of each cosine, (k, k), the norms taken as exact: one degree of freedom a corpus, so crude."""
        sides = self._halves.mean(axis=3)  # (k, 2, k): a_i . g_j, b_i . g_j
        half = (sides[:, 0] - sides[:, 1]) / 2
        error = np.sqrt(half**2 + half.T**2) / np.outer(self.norm, self.norm)
        np.fill_diagonal(error, 0.0)
        return error

    @property
    def influence(self) -> Array:
        """(k, k): rows are trained on, columns judged; 1 on the diagonal."""
        return self.dot / np.diag(self.dot)[None, :]

    @property
    def agreement(self) -> Array:
        """Cosine of the two halves of each corpus, (k,)."""
        own = self._own
        return own[:, 0, 1] / np.sqrt(own[:, 0, 0] * own[:, 1, 1])

    @property
    def corrected(self) -> Array:
        """Cosines without the noise of the halves, (k, k); they may leave [-1, 1] by noise."""
        signal = np.where(self._own[:, 0, 1] > 0, self._own[:, 0, 1], np.nan)
        found = self.dot / np.sqrt(np.outer(signal, signal))
        np.fill_diagonal(found, 1.0)
        return found

    def verdict(self, i: int, j: int) -> str:
        """aligned, conflicting, or unclear: the cosine within 1.96 standard errors of 0."""
        cosine, error = self.cosine[i, j], self.cosine_se[i, j]
        return "unclear" if abs(cosine) <= Z * error else "aligned" if cosine > 0 else "conflicting"

    @property
    def _halves(self) -> Array:
        k = len(self.corpora)
        return self.gram.reshape(k, 2, k, 2)

    @property
    def _own(self) -> Array:
        """(k, 2, 2): the halves of each corpus with each other."""
        at = np.arange(len(self.corpora))
        return self._halves[at, :, at]

    def to_json(self) -> dict[str, Any]:
        """Matrices as lists of rows; the unit of all but the norms is 1."""
        plain = lambda values: [[finite(float(v)) for v in row] for row in values]  # noqa: E731
        return {
            "corpora": list(self.corpora), "cosine": plain(self.cosine), "cosine_se": plain(self.cosine_se),
            "corrected": plain(self.corrected), "influence": plain(self.influence),
            "agreement": [finite(float(v)) for v in self.agreement],
            "norm": {"value": [finite(float(v)) for v in self.norm], "unit": "nat/token per unit of weight"},
            "verdict": [[self.verdict(i, j) for j in range(len(self.corpora))] for i in range(len(self.corpora))],
        }  # fmt: skip
