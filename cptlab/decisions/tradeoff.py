"""Gain in the new domain against forgetting of the general one (D-CPT, arXiv 2406.01375, use 1)."""

from dataclasses import dataclass

from cptlab.decisions.answerable import NO_MIXTURE
from cptlab.decisions.axes import shares
from cptlab.decisions.candidates import Candidates, grid
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Choice, Judgement, Predict
from cptlab.decisions.limits import cap_on_rise
from cptlab.decisions.question import zero_or_more
from cptlab.variants import variant

POINTS = 401  # domain shares; a binding constraint is refined between two of them


@variant("question")
@dataclass(kw_only=True)
class Tradeoff(Choice):
    """argmin_r L_domain(N, D, r) subject to L_general(N, D, 1 - r) <= L_general,base (1 + T).

    Of equal domain losses the largest share. A draw that meets the cap nowhere counts as share 0.

    max_general_rise: T, allowed rise of the general loss relative to the measured base loss, 0 or more.
    """

    max_general_rise: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("max_general_rise", self.max_general_rise)

    @property
    def needs(self) -> dict[str, str]:
        """The mixture."""
        return {"share": NO_MIXTURE}

    def candidates(self, case: Case) -> Candidates:
        """Domain shares from 0 to 1, where the laws are valid."""
        return grid({"domain_share": shares(case, None, POINTS)}, fallback={"domain_share": 0.0})

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Domain loss under the cap on the general rise."""
        columns = candidates.columns
        cap = cap_on_rise(case, predict("general", columns), columns, self.max_general_rise)
        return Judgement(predict("domain", columns), [cap])

    def sought(self, case: Case) -> str:
        """The domain loss."""
        return f"predicted {case.names['domain']} loss"

    def unmet(self, case: Case) -> str:
        """No share keeps the general loss under its cap."""
        return (
            f"no domain share keeps the predicted {case.general} loss under its cap, a rise of "
            f"{self.max_general_rise:.3g} of the base loss, not even 0; allow a higher rise, or measure a lower "
            "learning rate"
        )
