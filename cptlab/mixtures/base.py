"""A mixture is a pure function of progress: the weight of every corpus, in tokens.

`static` holds its shares, `phased` and `ramp` change them with u, `temperature`, `unimax` and `rehydrate` take them
from the corpora's sizes, `domain_order` gives all to one corpus at a time. What learns while it trains is an
`AdaptiveMixture` (adaptive.py). Which rows of a corpus are read at all is `row_sets`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CorpusFacts:
    """What a mixture may know of one corpus: its train split only."""

    num_tokens: int  # EOS included
    rows: int  # rows of data.sequence_length tokens
    tokens: NDArray | None = None  # (num_tokens,) the memory-mapped ids; read only by what measures similarity


@dataclass(frozen=True, eq=False)
class RowSet:
    """The rows of one corpus that a run reads; an epoch passes over them bucket by bucket, shuffled inside each.

    rows: (count,) row numbers, bucket after bucket; None = a fixed draw of `count` rows, the same in every run, of
    which a smaller draw is a part.
    """

    count: int  # rows of an epoch
    rows: NDArray[np.int64] | None = None
    buckets: int = 1  # of equal size but for rounding

    def __post_init__(self) -> None:
        if self.rows is not None and len(self.rows) != self.count:
            raise ValueError(f"{len(self.rows)} row numbers for an epoch of {self.count} rows")


@dataclass(kw_only=True)
class Mixture(ABC):
    """Weights over the corpora of one CPT run, the general corpus included where the study has one."""

    # No fields, so that neither the command line nor the run_id sees them: both follow from corpora and configuration.
    facts = MappingProxyType[str, CorpusFacts]({})
    rows_total = 0

    def prepare(self, facts: Mapping[str, CorpusFacts], rows_total: int = 0) -> None:
        """Learn what the corpora hold and how many rows the run will draw; called once, before `weights`."""
        self.facts, self.rows_total = dict(facts), rows_total

    @abstractmethod
    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """Token shares at progress u = tokens_seen / tokens_total.

        u: (n,) in [0, 1]. corpora: names in the order of the result's columns; `general` is one of them or "".
        Returns (n, len(corpora)), rows sum to 1. UserError for names that do not match.
        """

    def row_sets(self, corpora: Sequence[str], general: str) -> Mapping[str, RowSet]:
        """Corpora of which the run reads only some rows, or in a certain order; all others are read whole."""
        return {}

    def identity(self) -> dict:
        """Fields that enter the run_id by another value than they have: a file by its content."""
        return {}

    def planned_at_start(self, steps: int) -> int:
        """How many of the run's steps `weights` plans before the first; the rest is planned as it is decided."""
        return steps

    def bounds(self, u: Array, corpora: Sequence[str], general: str) -> tuple[Array, Array]:
        """The least and the most share that each corpus can have at progress u, each (n, len(corpora))."""
        weights = self.weights(u, corpora, general)
        return weights, weights

    def fact(self, name: str) -> CorpusFacts:
        """What is known of one corpus. UserError for a name that data does not have."""
        if name not in self.facts:
            raise UserError(f"mixture names the corpus {name}, which data does not have.{closest(name, self.facts)}")
        return self.facts[name]
