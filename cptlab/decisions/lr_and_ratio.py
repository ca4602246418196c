"""Learning rate and domain share together (question of arXiv 2409.06624), over any law that reads both."""

from dataclasses import dataclass

import numpy as np

from cptlab.decisions.axes import geometric, measured, shares
from cptlab.decisions.candidates import Candidates, grid
from cptlab.decisions.case import Case
from cptlab.decisions.weighted import Weighted
from cptlab.errors import UserError
from cptlab.variants import variant

RATES, SHARES = 81, 101


@variant("question")
@dataclass(kw_only=True)
class LRAndRatio(Weighted):
    """argmin over (peak LR, r) of w_domain L_domain + w_general L_general, under a cap on the general rise.

    domain_weight, general_weight: weights of the two losses, 0 or more.
    max_general_rise: allowed rise of the general loss over its base loss; null = no cap.
    min_peak_lr, max_peak_lr: learning rates to choose from; null = as measured, where a response surface holds.
    """

    min_peak_lr: float | None = None
    max_peak_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("min_peak_lr", "max_peak_lr"):
            value = getattr(self, key)
            if value is not None and not 0 < value < np.inf:
                raise UserError(f"question.{key} is {value}; it must be above 0, or null")

    @property
    def needs(self) -> dict[str, str]:
        """Both."""
        return {
            "peak_lr": "so no LR can be chosen; fit one that does (law=almr_lr)",
            "share": "so no share can be chosen; fit one that does (law=almr_lr)",
        }

    def candidates(self, case: Case) -> Candidates:
        """The box: learning rates, evenly in their logarithm, by measured shares."""
        low, high = measured(case, "peak_lr")
        rates = geometric("max_peak_lr", self.min_peak_lr or low, self.max_peak_lr or high, RATES)
        inside = shares(case, None, SHARES)
        ends = [case.fits[role].support.get("domain_share", (0.0, 1.0)) for role in case.fits]
        share = np.linspace(max(inside[0], *(a for a, _ in ends)), min(inside[-1], *(b for _, b in ends)), SHARES)
        return grid({"peak_lr": rates, "domain_share": share}, geometric=frozenset({"peak_lr"}))

    def unmet(self, case: Case) -> str:
        """No point of the box keeps the cap."""
        rise = 0.0 if self.max_general_rise is None else self.max_general_rise
        cap = f"keeps the predicted {case.general} loss within {rise:.3g} of its base loss"
        return f"no learning rate and share in the box {cap}"
