"""`replay=agem`: a step must not raise the mean loss of the replayed rows.

A-GEM (Chaudhry et al. 2019, arXiv 1812.00420, eq. 11): with g of the mixture's rows and r of the replayed ones,

    g <- g - min(0, g . r) / (r . r) r.
"""

from dataclasses import dataclass
from typing import ClassVar

from cptlab.replay.projected import ProjectedReplay
from cptlab.variants import variant


@variant("replay", "agem")
@dataclass(kw_only=True)
class AGEM(ProjectedReplay):
    """One constraint; costs one more copy of the gradients."""

    by_corpus: ClassVar[bool] = False
