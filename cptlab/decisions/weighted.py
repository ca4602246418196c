"""A weighted sum of the two losses under a cap on the general rise, for questions that trade them by weight."""

from __future__ import annotations

from dataclasses import dataclass

from cptlab.decisions.candidates import Candidates
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Choice, Judgement, Predict
from cptlab.decisions.limits import cap_on_rise
from cptlab.decisions.question import zero_or_more
from cptlab.errors import UserError


def weigh(
    case: Case,
    candidates: Candidates,
    predict: Predict,
    domain_weight: float,
    general_weight: float,
    max_general_rise: float | None,
) -> Judgement:
    """domain_weight L_domain + general_weight L_general; the general law is read only where it counts."""
    columns, limits = candidates.columns, []
    objective = domain_weight * predict("domain", columns)
    if general_weight > 0 or max_general_rise is not None:
        general = predict("general", columns)
        objective = objective + general_weight * general
        if max_general_rise is not None:
            limits = [cap_on_rise(case, general, columns, max_general_rise)]
    return Judgement(objective, limits)


def weights_in_words(case: Case, domain_weight: float, general_weight: float) -> str:
    """What is minimised."""
    general = f" + {general_weight:g} x {case.general}" if general_weight else ""
    return f"weighted loss ({domain_weight:g} x {case.names['domain']}{general})"


@dataclass(kw_only=True)
class Weighted(Choice):
    """Questions that minimise domain_weight L_domain + general_weight L_general, under a cap on the general rise.

    domain_weight, general_weight: 0 or more, not both 0. max_general_rise: of the base loss; null = no cap.
    """

    domain_weight: float = 1.0
    general_weight: float = 1.0
    max_general_rise: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("domain_weight", "general_weight", "max_general_rise"):
            zero_or_more(key, getattr(self, key))
        if self.domain_weight + self.general_weight == 0:
            raise UserError("question.domain_weight and question.general_weight are both 0; give one of them a weight")

    @property
    def needs_general(self) -> bool:
        """For its weight and its cap."""
        return self.general_weight > 0 or self.max_general_rise is not None

    @property
    def needs_general_base(self) -> bool:
        """For the cap alone."""
        return self.max_general_rise is not None

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Weighted loss under the cap."""
        return weigh(case, candidates, predict, self.domain_weight, self.general_weight, self.max_general_rise)

    def sought(self, case: Case) -> str:
        """The weighted loss."""
        return weights_in_words(case, self.domain_weight, self.general_weight)
