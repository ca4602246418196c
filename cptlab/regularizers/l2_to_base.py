"""`regularizer=l2_to_base`: every weight alike is pulled back to where it started.

L2-SP (Li, Grandvalet & Davoine 2018, arXiv 1802.01483, eq. 2, with the head under the same penalty).
"""

from dataclasses import dataclass
from typing import ClassVar

from cptlab.regularizers.base import Quadratic
from cptlab.variants import variant


@variant("regularizer", "l2_to_base")
@dataclass(kw_only=True)
class L2ToBase(Quadratic):
    """strength / 2 * sum_i (theta_i - theta*_i)^2."""

    strength: float = 0.01  # [nat/token per squared weight], 0 or more
    kept: ClassVar[tuple[str, ...]] = ("anchor",)
