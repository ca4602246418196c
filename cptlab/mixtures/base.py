"""A mixture is a pure function of progress: the weight of every corpus, in tokens."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Mixture(ABC):
    """Weights over the corpora of one CPT run, the general corpus included where the study has one."""

    @abstractmethod
    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """Token shares at progress u = tokens_seen / tokens_total.

        u: (n,) in [0, 1]. corpora: names in the order of the result's columns; `general` is one of them or "".
        Returns (n, len(corpora)), rows sum to 1. UserError for names that do not match.
        """
