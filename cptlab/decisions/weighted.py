"""A weighted sum of the two losses under a cap on the general rise, for questions that trade them by weight."""

from __future__ import annotations

from cptlab.decisions.candidates import Candidates
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Judgement, Predict
from cptlab.decisions.limits import cap_on_rise


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
