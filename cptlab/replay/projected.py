"""What `agem` and `gem` share: replayed rows are not trained on, they say which way a step must not go."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.replay.sourced import SourcedReplay


@dataclass(kw_only=True)
class ProjectedReplay(SourcedReplay):
    """A step takes the gradient g of the mixture's rows, changed as little as keeps it from harming replayed ones.

    Rows of the two kinds go through the model apart, so no work is added; a step without replayed rows takes g as it
    is. The weight of each gradient is 1 whatever the share: both are means over their own labels.
    """

    trains_on_rows: ClassVar[bool] = False
    by_corpus: ClassVar[bool] = False  # a constraint for each corpus that is replayed, instead of one for all

    def check_run(self, steps: int, rows_per_step: int) -> None:
        """UserError where a step could have replayed rows alone: there would be nothing to learn from. Or for none."""
        share = float(self.bounds(np.linspace(0, 1, 101))[1].max())
        if not share:
            raise UserError(
                f"replay.replay_share is 0, so replay={self.variant_name} would change no gradient; give it a share, or"  # type: ignore[attr-defined]
                " use replay=none"
            )
        if (1 - share) * rows_per_step < 1 - 1e-9:
            most = math.floor(1000 * (1 - 1 / rows_per_step)) / 1000
            least = f"give {most:g} at most, or " if most else "give "
            raise UserError(
                f"replay.replay_share is {share:g}, which leaves some steps of rows_per_step={rows_per_step} no row of"
                f" the mixture to learn from; {least}more rows a step"
            )
