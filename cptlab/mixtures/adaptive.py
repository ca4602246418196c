"""Mixtures that learn while they train: a decision is a pure function of everything measured before it.

No hidden state: the history of evidence is the state. It stands in the record, one line a decision, so that a
repeated or resumed run makes the same decisions, and a checkpoint needs no more than it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import check_shares, row_of


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured at one decision; every array is (num_corpora,), in the order of `corpora`."""

    step: int  # optimizer steps done
    u: float  # progress, in (0, 1)
    corpora: tuple[str, ...]
    weights: Array  # shares in force until now
    rows: Array  # rows of each corpus drawn since the last decision, replayed ones included
    before: Array  # valid loss at the last decision, or before the first update [nat/token]
    now: Array  # valid loss [nat/token]


@dataclass(kw_only=True)
class AdaptiveMixture(Mixture):
    """Decides `1 / interval - 1` times, from losses of the `valid` split alone."""

    interval: float = 0.05  # share of the run between two decisions, in (0, 1]
    shares: dict[str, float] = field(default_factory=dict)  # until the first decision; {} = equal shares
    min_share: float = 0.01  # least share of a corpus, 0 or more; keeps its loss from being forgotten

    def __post_init__(self) -> None:
        if not 0 < self.interval <= 1:
            raise UserError(f"mixture.interval is {self.interval}; it must lie in (0, 1]")
        if not 0 <= self.min_share < 1:
            raise UserError(f"mixture.min_share is {self.min_share}; it must lie in [0, 1)")
        check_shares(self.shares, "mixture.shares")

    @abstractmethod
    def decide(self, history: Sequence[Evidence]) -> Array:
        """Shares until the next decision: (num_corpora,), from all evidence so far, oldest first, at least one."""

    def start(self, corpora: Sequence[str]) -> Array:
        """(num_corpora,) shares until the first decision. UserError for names that do not match."""
        if self.min_share * len(corpora) > 1:
            raise UserError(f"mixture.min_share is {self.min_share}; {len(corpora)} corpora allow 1/{len(corpora)}")
        return row_of(self.shares, corpora) if self.shares else np.full(len(corpora), 1 / len(corpora))

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The shares until the first decision, at any u."""
        return np.tile(self.start(corpora), (len(u), 1))

    def bounds(self, u: Array, corpora: Sequence[str], general: str) -> tuple[Array, Array]:
        """The starting shares until the first decision; then from `min_share` to what the others' leave."""
        least, most = (self.weights(u, corpora, general) for _ in range(2))
        open_from = self.planned_at_start(len(u))
        least[open_from:] = self.min_share
        most[open_from:] = 1 - (len(corpora) - 1) * self.min_share
        return least, most

    def planned_at_start(self, steps: int) -> int:
        """Until the first decision."""
        return (self.decision_steps(steps) or [steps])[0]

    def decision_steps(self, steps: int) -> list[int]:
        """After which optimizer steps a decision is made: every `interval` of the run, not after the last one."""
        number = int(np.ceil(1 / self.interval - 1e-9))
        marks = {round(k * self.interval * steps) for k in range(1, number)}
        return sorted(mark for mark in marks if 0 < mark < steps)

    def floored(self, shares: Array) -> Array:
        """Every share at least `min_share`: what is above it is scaled down together."""
        return self.min_share + (1 - len(shares) * self.min_share) * shares / shares.sum()
