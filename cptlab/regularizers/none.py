"""`regularizer=none`: the loss of the data alone."""

from dataclasses import dataclass
from pathlib import Path

from cptlab.regularizers.base import Regularizer
from cptlab.variants import variant


@variant("regularizer", "none")
@dataclass(kw_only=True)
class NoRegularizer(Regularizer):
    """Nothing is kept and nothing added."""

    def identity(self, weights: Path | None) -> dict:
        """Nothing: older run_ids stay."""
        return {}
