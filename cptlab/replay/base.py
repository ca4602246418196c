"""Replay takes a share of each block's tokens off the top of the mixture.

Two questions are kept apart: how much (`share`) and what. What comes either from a named corpus, whose rows go on in
their own running order, or from a buffer of rows that this run has already trained on (`BufferReplay`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(kw_only=True)
class Replay(ABC):
    """`corpus` names the corpus that replay draws from; "" is the general corpus."""

    corpus: str = ""  # corpus that replay draws from; "" = the general corpus
    from_buffer: ClassVar[bool] = False  # whether rows come from `pick` instead of a corpus
    trains_on_rows: ClassVar[bool] = True  # False: the rows only say which way a step must not go
    kept: ClassVar[tuple[str, ...]] = ()  # tensors, each as large as the trained weights, that live through a run

    @abstractmethod
    def share(self, u: Array) -> Array:
        """Share of each block's tokens that Replay draws, at progress u: (n,) -> (n,), in [0, 1)."""

    def bounds(self, u: Array) -> tuple[Array, Array]:
        """The least and the most share that it can have at progress u, each (n,)."""
        share = self.share(u)
        return share, share

    def check(self, general: str) -> None:  # noqa: B027 - most replay needs none
        """UserError if this replay needs a general corpus and the study names none."""

    def check_optimizer(self, optimizer: Any) -> None:  # noqa: B027 - most replay needs nothing
        """UserError for an optimizer that this replay does not go with."""

    def check_run(self, steps: int, rows_per_step: int) -> None:  # noqa: B027 - most replay goes with any
        """UserError for a run that this replay could not do anything in, or could not train."""

    def planned_at_start(self, steps: int) -> int:
        """How many of the run's steps `share` plans before the first; the rest is planned as it is decided."""
        return steps


@dataclass(kw_only=True)
class BufferReplay(Replay):
    """A fixed share of every batch is drawn from rows already seen.

    A buffer holds no tokens and no state: rows lie in the memory-mapped corpora, the global number of a fresh row
    (one that the mixture drew) says which, and what a buffer holds after `seen` fresh rows is computed again when
    it is asked for. So it survives a restart, and a change of ranks, without being saved. Before the first fresh
    row there is nothing to replay: the first batch belongs to the mixture alone.
    """

    replay_share: float = 0.05  # share of all tokens, in [0, 1)
    from_buffer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("replay.replay_share", self.replay_share)
        if self.corpus:
            raise UserError(
                f"replay.corpus is {self.corpus}, but replay={self.variant_name} draws from rows already seen;"  # type: ignore[attr-defined]
                " leave it empty, or use replay=fixed"
            )

    def share(self, u: Array) -> Array:
        """`replay_share` everywhere."""
        return np.full_like(u, self.replay_share, dtype=np.float64)

    @abstractmethod
    def pick(self, seed: int, step: int, count: int, seen: int) -> Rows:
        """Global numbers of the fresh rows that batch `step` replays, a pure function: (count,), each in [0, seen).

        seen: fresh rows before the step, above 0 unless count is 0. No row comes twice while the buffer holds others.
        """


def check_share(key: str, share: float) -> None:
    """UserError unless a share of replay lies in [0, 1)."""
    if not 0 <= share < 1:
        raise UserError(f"{key} is {share}; it must lie in [0, 1)")
