"""Where the rows of a fit come from: run records, or a table that a user brings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from cptlab.records.observations import Observations


@dataclass(kw_only=True)
class Source(ABC):
    """Anything that can be read into one table of observations."""

    @abstractmethod
    def read(self) -> Observations:
        """All usable rows; what is left out is counted by reason. UserError where there is none."""

    @property
    def n_definition(self) -> str:
        """What `num_params` counts, for fit.json."""
        return "parameters without input and output embeddings"

    @property
    def rule(self) -> str:
        """The rule by which rows were kept, fixed before reading; one sentence, or ''."""
        return ""

    def coverage(self) -> list[dict[str, object]]:
        """Runs by {num_params, share, status, seeds}, failed ones too; empty where no record tells them."""
        return []

    def sizes(self) -> Mapping[float, str]:
        """num_params -> the name by which train.py knows that size; empty where no record tells it."""
        return {}

    def overrides(self, num_params: float, tokens: float) -> list[str] | None:
        """train.py overrides of the nearest run of that size; None where no record tells them."""
        return None
