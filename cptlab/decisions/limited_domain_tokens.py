"""How far to stretch few domain tokens with general text (D-CPT, arXiv 2406.01375, use 2)."""

from dataclasses import dataclass

import numpy as np

from cptlab.decisions.answerable import NO_MIXTURE
from cptlab.decisions.axes import geometric
from cptlab.decisions.candidates import Candidates, Limit
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Judgement, Predict
from cptlab.decisions.limits import Capped
from cptlab.decisions.question import at_least_one
from cptlab.errors import UserError
from cptlab.variants import variant

POINTS = 801
BEYOND = 1.05  # how far past the cap on tokens the candidates reach, so that the cap itself is what binds


@variant("question")
@dataclass(kw_only=True)
class LimitedDomainTokens(Capped):
    """argmin_r L_domain(N, D_d / r, r) subject to D_d / r <= max_tokens and a cap on the general rise.

    Every domain token is seen once, so a lower share means a longer run: D = D_d / r. Without a cap on D the answer
    may run to r = 0 and an endless run, so there always is one.

    domain_tokens: D_d, tokens of the domain that there are [token].
    max_tokens: most tokens of the run; null = the most measured at that size.
    max_general_rise: allowed rise of the general loss over its base loss; null = no cap.
    """

    domain_tokens: float = 0.0
    max_tokens: float | None = None
    max_general_rise: float | None = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.domain_tokens < np.inf:
            raise UserError(
                f"question.domain_tokens is {self.domain_tokens:g}; give the number of domain tokens that there are, "
                "1 or more"
            )
        at_least_one("max_tokens", self.max_tokens)
        if self.tokens is not None:
            raise UserError("question.tokens follows from domain_tokens and the share here; give question.max_tokens")

    @property
    def needs(self) -> dict[str, str]:
        """The mixture, and what a longer run gains."""
        return {
            "share": NO_MIXTURE,
            "tokens": "so it cannot say what a longer run gains; fit one that does (law=dcpt)",
        }

    def candidates(self, case: Case) -> Candidates:
        """Shares from D_d / max_tokens to 1, evenly in their logarithm, each with its tokens."""
        most = self.max_tokens or case.tokens
        if self.domain_tokens > most:
            raise UserError(
                f"question.domain_tokens {self.domain_tokens:.4g} is more than the longest run, {most:.4g} tokens: "
                "they are not scarce; ask question=tradeoff, or raise question.max_tokens"
            )
        share = geometric("max_tokens", self.domain_tokens / most / BEYOND, 1.0, POINTS)
        columns = {"domain_share": share, "tokens": self.domain_tokens / share}
        return Candidates(columns, "domain_share", POINTS, geometric=frozenset(columns), follows=frozenset({"tokens"}))

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Domain loss under both caps."""
        columns = candidates.columns
        most = self.max_tokens or case.tokens
        limits = [Limit(f"the longest run (max_tokens={most:.4g})", np.log(columns["tokens"] / most) - 1e-12)]
        return Judgement(predict("domain", columns), limits + self.caps(case, predict, columns))

    def sought(self, case: Case) -> str:
        """The domain loss."""
        return f"predicted {case.names['domain']} loss"

    def unmet(self, case: Case) -> str:
        """No share meets both caps."""
        rise = (
            ""
            if self.max_general_rise is None
            else f" and raises the {case.general} loss by {self.max_general_rise:.3g} or less"
        )
        return f"no share uses the {self.domain_tokens:.4g} domain tokens within the longest run{rise}"
