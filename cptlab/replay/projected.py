"""What `agem` and `gem` share: replayed rows are not trained on, they say which way a step must not go."""

from dataclasses import dataclass
from typing import ClassVar

from cptlab.replay.sourced import SourcedReplay


@dataclass(kw_only=True)
class ProjectedReplay(SourcedReplay):
    """A step takes the gradient g of the mixture's rows, changed as little as keeps it from harming replayed ones.

    Rows of the two kinds go through the model apart, so no work is added; a step without replayed rows takes g as it
    is. The weight of each gradient is 1 whatever the share: both are means over their own labels.
    """

    trains_on_rows: ClassVar[bool] = False
    by_corpus: ClassVar[bool] = False  # a constraint for each corpus that is replayed, instead of one for all
