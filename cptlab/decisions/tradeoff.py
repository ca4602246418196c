"""Gain in the new domain against forgetting of the general one (D-CPT, arXiv 2406.01375, use 1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.question import Answer, Array, Question
from cptlab.errors import UserError
from cptlab.variants import variant

Mask = NDArray[np.bool_]


@variant("question")
@dataclass(kw_only=True)
class Tradeoff(Question):
    """argmin_r L_domain(N, D, r) subject to L_general(N, D, 1 - r) <= L_general,base (1 + T).

    max_general_rise: T, allowed rise of the general loss relative to the measured base loss, 0 or more.
    """

    max_general_rise: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.max_general_rise < np.inf:
            raise UserError(f"question.max_general_rise is {self.max_general_rise}; it must be 0 or more")

    def limits(self, base_loss: Mapping[str, float]) -> dict[str, float]:
        """The general loss may rise to its base value times 1 + T."""
        return {"general": base_loss["general"] * (1 + self.max_general_rise)}

    def choose(self, share: Array, general: Array, domain: Array, base_loss: Mapping[str, float]) -> Answer:
        """Lowest domain loss where the constraint holds; of equal ones the largest share.

        Where the constraint stops a falling domain loss, the share is refined to the crossing of the two
        neighbouring grid points (linear in the share).
        """
        allowed = self.limits(base_loss)["general"]
        met = general <= allowed
        loss = np.where(met, domain, np.inf)
        best = loss.shape[-1] - 1 - np.argmin(loss[..., ::-1], axis=-1)
        chosen = share[best]
        for side in (1, -1):
            chosen = chosen + _crossing(share, general, domain, met, best, side, allowed)
        pieces = (np.diff(met.astype(int), axis=-1, prepend=0) == 1).sum(axis=-1)
        return Answer(np.where(met.any(axis=-1), chosen, np.nan), pieces <= 1)

    def binding(self, chosen: float, names: Mapping[str, str]) -> str:
        """The cap on the general rise, or the end of the range."""
        return (
            f"the cap on the {names['general']} loss "
            f"(max_general_rise={self.max_general_rise:g} of the base loss) binds at {chosen:.3f}"
        )

    def unmet(self, names: Mapping[str, str]) -> str:
        """No share keeps the general loss under its cap."""
        return (
            f"no domain share keeps the predicted {names['general']} loss "
            f"under its cap, a rise of {self.max_general_rise:.3g} of the base loss, not even 0; allow a higher "
            "rise, or measure a lower learning rate"
        )


def _crossing(
    share: Array, general: Array, domain: Array, met: Mask, best: NDArray[np.intp], side: int, allowed: float
) -> Array:
    """Step from the best grid point towards its neighbour on one side, up to where the constraint stops it.

    0 where the neighbour meets the constraint, does not exist, or has no lower domain loss.
    """
    other = np.clip(best + side, 0, len(share) - 1)
    stops = met.any(axis=-1) & ~_at(met, other) & (_at(domain, other) < _at(domain, best))
    rise = np.where(stops, _at(general, other) - _at(general, best), 1.0)
    fraction = np.where(stops, (allowed - _at(general, best)) / rise, 0.0)
    return fraction * (share[other] - share[best])


def _at(values: NDArray[Any], index: NDArray[np.intp]) -> NDArray[Any]:
    """values (..., m) at index (...,)."""
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
