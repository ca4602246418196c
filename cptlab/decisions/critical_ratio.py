"""The critical mixture ratio: the most domain text that pays (CMR, Gu et al. 2024, arXiv 2407.17467)."""

from dataclasses import dataclass

import numpy as np

from cptlab.decisions.answerable import NO_MIXTURE
from cptlab.decisions.axes import measured, shares
from cptlab.decisions.candidates import Array, Candidates, Limit, grid
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Choice, Judgement, Predict
from cptlab.errors import UserError
from cptlab.variants import variant

SHARES, MOMENTS = 201, 33


@variant("question")
@dataclass(kw_only=True)
class CriticalRatio(Choice):
    """Largest domain share R that is feasible at T = tokens.

    tolerance: L_general(T, R) <= L_general,base + tolerance.
    exchange: some moment T0 <= T has d(L_domain + lam L_general)/dlog T <= 0: from there on training pays. The paper
    states it with = 0; a run that pays from its start has no such T0 and is feasible here. A law of tokens and share
    is needed; one in which both losses only fall (D-CPT) meets it everywhere, so that the tolerance alone decides.

    tolerance: [nat/token], 0 or more; the paper's is 0.05.
    lam: lambda, weight of the general loss in the exchange; the paper publishes none. null = no such condition.
    """

    tolerance: float = 0.05
    lam: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tolerance < np.inf:
            raise UserError(f"question.tolerance is {self.tolerance}; it must be 0 or more nat/token")
        if self.lam is not None and not 0 < self.lam < np.inf:
            raise UserError(f"question.lam is {self.lam}; it must be above 0, or null for no exchange condition")

    @property
    def needs(self) -> dict[str, str]:
        """The mixture; tokens for the exchange."""
        exchange = {"tokens": "so it has no exchange of losses; give question.lam=null"}
        return {"share": NO_MIXTURE} | (exchange if self.lam is not None else {})

    def candidates(self, case: Case) -> Candidates:
        """Domain shares where the laws are valid."""
        return grid({"domain_share": shares(case, None, SHARES)}, fallback={"domain_share": 0.0})

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """The share itself, as large as tolerance and exchange allow."""
        columns = candidates.columns
        general = predict("general", columns)
        allowed = case.base_loss["general"] + self.tolerance
        words = f"the tolerance on the {case.general} loss (tolerance={self.tolerance:g} nat above its base loss)"
        limits = [Limit(words, general - allowed, "general", allowed)]
        if self.lam is not None:
            limits.append(
                Limit(f"the exchange (lam={self.lam:g})", self._slope(case, columns["domain_share"], predict))
            )
        return Judgement(np.broadcast_to(-columns["domain_share"], general.shape), limits)

    def _slope(self, case: Case, share: Array, predict: Predict) -> Array:
        """min over T0 <= T of d(L_domain + lam L_general)/dlog T at each share, (1 + num_draws, m)."""
        first, _ = measured(case, "tokens")
        if first >= case.tokens:
            raise UserError(
                f"question.tokens is {case.tokens:.4g} and the fewest measured are {first:.4g}: the exchange needs "
                "moments between them"
            )
        moments = np.geomspace(first, case.tokens, MOMENTS)
        table = {"domain_share": np.repeat(share, MOMENTS), "tokens": np.tile(moments, len(share))}
        total = predict("domain", table) + (self.lam or 0.0) * predict("general", table)
        steps = np.diff(total.reshape(len(total), len(share), MOMENTS), axis=-1) / np.diff(np.log(moments))
        return steps.min(axis=-1)

    def sought(self, case: Case) -> str:
        """The largest share."""
        return "largest share, taken negative,"

    def unmet(self, case: Case) -> str:
        """No share is feasible."""
        exchange = "" if self.lam is None else f" and ever pays at lam={self.lam:g}"
        return f"no domain share keeps {case.general} within {self.tolerance:g} nat of its base loss{exchange}"
