"""How the parameters of a fit are tied to each other: their correlation matrix."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cptlab.laws.base import Array

TIED = 0.99  # [1] absolute correlation above which two parameters are named
FLAT = 1e-10  # [1] singular value over the largest below which a direction counts as this flat


@dataclass(frozen=True)
class Correlations:
    """names: parameters that are free and inside their bounds. matrix: (k, k), symmetric, 1 on its diagonal.

    Of the coefficients as amplitudes, their terms taken at the middle of the inputs: A and alpha of A/N^alpha are
    tied by the unit of N alone, which tells nothing of the data.
    """

    names: list[str] = field(default_factory=list)
    matrix: Array = field(default_factory=lambda: np.empty((0, 0)))

    def sentences(self, without: Collection[str] = ()) -> list[str]:
        """One sentence that names the tied pairs, none where there are none; pairs inside `without` are left out."""
        pairs = [
            f"{self.names[i]} and {self.names[j]} ({self.matrix[i, j]:+.3f})"
            for i, j in zip(*np.triu_indices(len(self.names), 1), strict=True)
            if abs(self.matrix[i, j]) > TIED and not {self.names[i], self.names[j]} <= set(without)
        ]
        return [f"{', '.join(pairs)} are correlated so closely that only one number of each pair is known."] * bool(
            pairs
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"names": self.names, "matrix": self.matrix.tolist()}


def correlate(names: Sequence[str], J: Array) -> Correlations:
    """Gauss-Newton correlations from derivatives J (n, k): of (J'J)^-1. A parameter that moves nothing is left out.

    Rows are taken as independent, which scales all variances alike along a run and so matters less here than in
    an interval.
    """
    length = np.linalg.norm(J, axis=0)
    moves = np.isfinite(J).all(axis=0) & (length > 0)
    names = [name for name, used in zip(names, moves, strict=True) if used]
    if not names:
        return Correlations()
    _, s, vt = np.linalg.svd(J[:, moves] / length[moves], full_matrices=False)
    spread = vt.T / np.maximum(s, FLAT * s[0])  # (k, directions)
    covariance = spread @ spread.T
    deviation = np.sqrt(np.diag(covariance))
    matrix = np.clip(covariance / np.outer(deviation, deviation), -1, 1)
    np.fill_diagonal(matrix, 1.0)
    return Correlations(list(names), matrix)
