"""The stability gap: a loss that rises above the base's and then comes back (Guo et al. 2024, arXiv 2406.14833;
the name is De Lange et al.'s, arXiv 2205.13452).

    depth = max (loss - base loss) of the run, its bottom the step of that maximum (of quality, hence "bottom")
    break even: where the loss is back at the base's, first after the bottom

The deepest rise counts, not the first: that may be the noise of a row that crosses the base's loss and comes back.
A loss that rises and never comes back is forgetting, not a gap: `recovered` is false, and `still_rising` says that the
worst row is the last one, so that the bottom may lie further on. Evaluations are few, so the depth is a lower bound,
and a gap that is over before `first_look` is not seen at all. The largest of several rises is above 0 by noise alone,
so a gap is clear only beyond the bound of as many comparisons (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from cptlab.metrics.curves import Curve
from cptlab.metrics.measured import NAT, Measured, finite

LEVEL = 0.05  # chance, at most, that noise alone in any evaluation of a run makes a clear gap or its opposite


@dataclass(frozen=True)
class StabilityGap:
    """Steps are optimizer steps, tokens CPT tokens of all corpora; None where the loss never rose or never came back.

    break_even_tokens: by a straight line between the two rows around it, break_even_between: those rows' tokens.
    """

    domain: str
    depth: Measured
    bottom_step: int | None
    bottom_tokens: float | None
    recovery_step: int | None
    break_even_tokens: float | None
    break_even_between: tuple[float, float] | None
    still_rising: bool
    first_look: float  # [token] of the first evaluation after the base's
    looks: int  # evaluations after the base's

    @property
    def dipped(self) -> bool:
        """Whether any loss lay above the base's."""
        return self.bottom_step is not None

    @property
    def recovered(self) -> bool:
        """Whether it came back to the base's loss, or never left it."""
        return not self.dipped or self.recovery_step is not None

    @property
    def is_clear(self) -> bool:
        """Whether the depth is more than `bound` standard errors above 0."""
        return self.dipped and self.depth.se is not None and self.depth.value > self.bound * self.depth.se

    @property
    def bound(self) -> float:
        """Standard errors [1] that the largest of `looks` rises must have: 1.96 of one, 3.08 of 24."""
        return NormalDist().inv_cdf(1 - LEVEL / (2 * self.looks))

    def to_json(self) -> dict[str, Any]:
        """Every field, and whether it dipped and recovered."""
        return {
            "depth": self.depth.to_json(), "bottom_step": self.bottom_step, "bottom_tokens": finite(self.bottom_tokens),
            "recovery_step": self.recovery_step, "break_even_tokens": finite(self.break_even_tokens),
            "break_even_between": list(self.break_even_between) if self.break_even_between else None,
            "still_rising": self.still_rising, "dipped": self.dipped, "recovered": self.recovered,
            "is_clear": self.is_clear, "first_look_tokens": self.first_look, "looks": self.looks,
        }  # fmt: skip


def stability_gap(curve: Curve) -> StabilityGap | None:
    """The deepest rise of a curve above its base loss; None without a base row and one after it."""
    if not curve.has_base or len(curve.loss) < 2:
        return None
    above = np.flatnonzero(curve.loss[1:] > curve.loss[0]) + 1
    first_look, looks = float(curve.tokens[1]), len(curve.loss) - 1
    if not len(above):
        flat = Measured(0.0, NAT, curve.change(1).se)
        return StabilityGap(curve.domain, flat, None, None, None, None, None, False, first_look, looks)
    bottom = int(np.argmax(curve.loss))
    back = np.flatnonzero(curve.loss[bottom:] <= curve.loss[0]) + bottom
    recovery, tokens, between = None, None, None
    if len(back):
        end = int(back[0])
        recovery, between = int(curve.steps[end]), (float(curve.tokens[end - 1]), float(curve.tokens[end]))
        fall = (curve.loss[end - 1] - curve.loss[0]) / (curve.loss[end - 1] - curve.loss[end])
        tokens = float(between[0] + fall * (between[1] - between[0]))
    return StabilityGap(
        curve.domain, curve.change(bottom), int(curve.steps[bottom]), float(curve.tokens[bottom]), recovery, tokens,
        between, bottom == len(curve.loss) - 1, first_look, looks,
    )  # fmt: skip
