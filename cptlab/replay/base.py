"""Replay takes a share of each block's tokens off the top of the mixture."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Replay(ABC):
    """`corpus` names the corpus that replay draws from; "" is the general corpus."""

    corpus: str = ""

    @abstractmethod
    def share(self, u: Array) -> Array:
        """Share of each block's tokens that Replay draws, at progress u: (n,) -> (n,), in [0, 1)."""
