"""`replay=gem`: a step must not raise the mean loss of the replayed rows of any corpus.

GEM (Lopez-Paz & Ranzato 2017, arXiv 1706.08840, eq. 11): with the rows of G the gradients of the replayed rows of each
corpus,

    v = argmin_{v >= margin} |G^T v + g|^2 / 2,   g <- g + G^T v.

With one corpus and margin 0 this is A-GEM.
"""

from dataclasses import dataclass
from typing import ClassVar

from cptlab.errors import UserError
from cptlab.replay.projected import ProjectedReplay
from cptlab.variants import variant


@variant("replay", "gem")
@dataclass(kw_only=True)
class GEM(ProjectedReplay):
    """A constraint for each corpus among the replayed rows; costs as many copies of the gradients, and one."""

    margin: float = 0.0  # least weight of each constraint, 0 or more: above 0 every step also helps old text
    by_corpus: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise UserError(f"replay.margin is {self.margin}; it must be 0 or more")
