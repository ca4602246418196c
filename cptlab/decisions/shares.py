"""Shares of several corpora at once: a point of the simplex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from cptlab.decisions.answerable import NO_MIXTURE
from cptlab.decisions.candidates import Array, Candidates, Limit
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Choice, Judgement, Predict
from cptlab.decisions.limits import cap_on_rise
from cptlab.decisions.question import zero_or_more
from cptlab.errors import UserError, closest
from cptlab.laws.base import Law
from cptlab.records.observations import Observations
from cptlab.variants import variant

PARTS = {2: 200, 3: 50, 4: 20}  # corpora -> steps of a share from 0 to 1


@variant("question")
@dataclass(kw_only=True)
class Shares(Choice):
    """argmin over shares that sum to 1 of the weighted losses of all fitted corpora, under caps on their rises.

    The trade-off of two corpora is the special case of weights {domain: 1}. Shares lie on a grid: steps of .005 for
    two corpora, .02 for three, .05 for four.

    weights: corpus -> weight of its loss, 0 or more; null = 1 for the domain, 0 for the others.
    max_general_rise: allowed rise of the general loss over its base loss; null = no cap.
    max_rises: corpus -> allowed rise of its loss over its base loss.
    """

    weights: Any = None
    max_general_rise: float | None = 0.03
    max_rises: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        zero_or_more("max_general_rise", self.max_general_rise)
        for key in ("weights", "max_rises"):
            value = {} if getattr(self, key) is None else getattr(self, key)
            if not hasattr(value, "items"):
                raise UserError(f'question.{key} is {value!r}; write it as "question.{key}={{corpus: 1}}"')
            for corpus, number in value.items():
                if not isinstance(number, int | float) or not 0 <= number < np.inf:
                    raise UserError(f"question.{key}.{corpus} is {number!r}; it must be a number of 0 or more")
            setattr(self, key, dict(value))
        if self.weights and not any(self.weights.values()):
            raise UserError("question.weights are all 0; give one corpus a weight")

    @property
    def needs_general_base(self) -> bool:
        """For its cap."""
        return self.max_general_rise is not None

    @property
    def every_corpus(self) -> bool:
        """All of them."""
        return True

    @property
    def needs(self) -> dict[str, str]:
        """The mixture."""
        return {"share": NO_MIXTURE}

    def refuse_unanswerable(self, laws: Sequence[Law], tables: Sequence[Observations]) -> None:
        """Of three corpora and more, the share of the domain says nothing of the others' own."""
        super().refuse_unanswerable(laws, tables)
        of_two = [law for law in laws if not any(n == "share" or n.startswith("share_") for n in law.inputs)]
        if of_two and len(laws) > 2:
            raise UserError(
                f"law={of_two[0].variant_name} knows the mixture of two corpora only, and {len(laws)} were fitted; "
                "fit law=mixing, or law=dcpt, which reads each corpus's own share"
            )

    def candidates(self, case: Case) -> Candidates:
        """The simplex, one candidate a line."""
        corpora = list(case.names.values())
        if len(corpora) not in PARTS:
            raise UserError(f"question=shares answers for two to four corpora; {len(corpora)} were fitted")
        for key in ("weights", "max_rises"):
            for name in getattr(self, key):
                if name not in corpora:
                    raise UserError(f"question.{key}: {name} was not fitted.{closest(name, corpora)}")
        points = simplex(len(corpora), PARTS[len(corpora)])
        columns = {f"share_{name}": points[:, i] for i, name in enumerate(corpora)}
        valid = np.ones(len(points), dtype=bool)
        for role, fit in case.fits.items():
            for name, (low, high) in getattr(fit.law, "valid", {}).items():
                own = {"share": case.names[role], "domain_share": case.names["domain"]}.get(name, "")
                column = columns.get(f"share_{own}" if own else name)
                valid &= True if column is None else (column > low) & (column < high)
        return Candidates(
            {name: column[valid] for name, column in columns.items()},
            next(iter(columns)),
            1,
            resolution=1 / PARTS[len(corpora)],
        )

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Weighted loss under the caps."""
        columns, limits = candidates.columns, []
        weights = self.weights or {case.names["domain"]: 1.0}
        losses = {role: predict(role, columns) for role in case.names}
        objective = sum((weights.get(case.names[role], 0.0) * loss for role, loss in losses.items()), np.zeros(1))
        if self.max_general_rise is not None:
            limits.append(cap_on_rise(case, losses["general"], columns, self.max_general_rise))
        for role, corpus in case.names.items():
            if corpus in self.max_rises:
                rise, base = self.max_rises[corpus], case.base_loss.get(role)
                if base is None:
                    raise UserError(
                        f"the loss of {corpus} before the first update is not known, so its rise cannot be limited; "
                        f'give it as "question.base_loss={{{corpus}: 2.87}}"'
                    )
                words = f"the cap on the {corpus} loss (max_rises.{corpus}={rise:g} of its base loss)"
                limits.append(Limit(words, losses[role] - base * (1 + rise), role, base * (1 + rise)))
        return Judgement(np.asarray(objective), limits)

    def sought(self, case: Case) -> str:
        """The weighted loss."""
        weights = self.weights or {case.names["domain"]: 1.0}
        return "weighted loss (" + " + ".join(f"{w:g} x {name}" for name, w in weights.items() if w) + ")"

    def unmet(self, case: Case) -> str:
        """No mixture keeps the caps."""
        return "no mixture of the corpora keeps every predicted loss under its cap"


def simplex(corpora: int, parts: int) -> Array:
    """All points with shares that are multiples of 1 / parts and sum to 1, (m, corpora)."""
    heads = [p for p in product(range(parts + 1), repeat=corpora - 1) if sum(p) <= parts]
    return np.array([[*p, parts - sum(p)] for p in heads], float) / parts
