"""Replay from everything this run has seen, each row with the same chance.

The unbounded "disk buffer" of experience replay (Chaudhry et al. 2019, arXiv 1902.10486; MER of Abbes et al. 2025,
arXiv 2508.01908, fills a fraction of each batch so). The rows lie on the disk already, so the buffer costs nothing.
"""

from dataclasses import dataclass

from cptlab.replay.base import BufferReplay, Rows
from cptlab.replay.draws import choose
from cptlab.variants import variant


@variant("replay", "buffer")
@dataclass(kw_only=True)
class UnboundedBuffer(BufferReplay):
    """All fresh rows before the step, those of the step itself left out."""

    def pick(self, seed: int, step: int, count: int, seen: int) -> Rows:
        """Uniform over [0, seen)."""
        return choose(seed, step, count, seen)
