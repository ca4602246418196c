"""A fixed share of replay whose rows come from a named corpus or from what the run has seen, as is asked for.

Methods that do something with replayed rows beside training on them (`mer`, `agem`, `gem`) work with either.
"""

from dataclasses import dataclass

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.replay.base import Array, Replay, Rows, check_share
from cptlab.replay.draws import choose

SOURCES = ("corpus", "buffer")


@dataclass(kw_only=True)
class SourcedReplay(Replay):
    """source=corpus draws as `replay=fixed`, source=buffer as `replay=buffer`: the same rows in the same places."""

    replay_share: float = 0.25  # share of all tokens, in [0, 1)
    source: str = "corpus"  # corpus (`replay.corpus`, "" = the general corpus) or buffer (rows already seen)

    def __post_init__(self) -> None:
        check_share("replay.replay_share", self.replay_share)
        if self.source not in SOURCES:
            raise UserError(f"replay.source is {self.source}.{closest(self.source, SOURCES)}")
        if self.from_buffer and self.corpus:
            raise UserError(
                f"replay.corpus is {self.corpus}, but replay.source=buffer draws from rows already seen; leave it"
                " empty, or set replay.source=corpus"
            )

    @property
    def from_buffer(self) -> bool:  # type: ignore[override]
        """Whether rows come from `pick` instead of a corpus."""
        return self.source == "buffer"

    def share(self, u: Array) -> Array:
        """`replay_share` everywhere."""
        return np.full_like(u, self.replay_share, dtype=np.float64)

    def pick(self, seed: int, step: int, count: int, seen: int) -> Rows:
        """Uniform over [0, seen), as of the unbounded buffer."""
        return choose(seed, step, count, seen)
