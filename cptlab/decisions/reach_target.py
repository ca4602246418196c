"""The shortest run that reaches a loss in the new domain without forgetting more than a cap."""

from dataclasses import dataclass

import numpy as np

from cptlab.decisions.axes import geometric, measured, reads_share, shares
from cptlab.decisions.candidates import Candidates, Limit, grid
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Judgement, Predict
from cptlab.decisions.limits import Capped
from cptlab.decisions.question import at_least_one, share_or_null
from cptlab.errors import UserError
from cptlab.variants import variant

TOKENS, SHARES = 121, 101
REACH = 10.0  # how far beyond the measured tokens candidates go


@variant("question")
@dataclass(kw_only=True)
class ReachTarget(Capped):
    """argmin_{D, r} D subject to L_domain(N, D, r) <= target_loss and L_general <= base loss x (1 + max_general_rise).

    target_loss: loss of the domain to be reached [nat/token].
    domain_share: r; null = chosen too.
    max_general_rise: allowed rise of the general loss over its base loss; null = no cap.
    max_tokens: longest run considered [token]; null = ten times the most measured.
    """

    target_loss: float = 0.0
    domain_share: float | None = None
    max_general_rise: float | None = 0.03
    max_tokens: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_loss < np.inf:
            raise UserError(f"question.target_loss is {self.target_loss:g}; give the domain loss to reach in nat/token")
        share_or_null("domain_share", self.domain_share)
        at_least_one("max_tokens", self.max_tokens)
        if self.tokens is not None:
            raise UserError("question.tokens is what question=reach_target chooses; give question.max_tokens")

    @property
    def needs(self) -> dict[str, str]:
        """What a longer run gains."""
        return {"tokens": "so it cannot say how long to train; fit one that does (law=dcpt)"}

    def candidates(self, case: Case) -> Candidates:
        """Tokens from the fewest measured on, evenly in their logarithm, at each share."""
        low, high = measured(case, "tokens")
        tokens = geometric("max_tokens", low, self.max_tokens or high * REACH, TOKENS)
        if not reads_share(case):
            return grid({"tokens": tokens}, geometric=frozenset({"tokens"}))
        share = shares(case, self.domain_share, SHARES)
        step = float(share[1] - share[0]) if len(share) > 1 else 0.0
        return grid({"domain_share": share, "tokens": tokens}, geometric=frozenset({"tokens"}), resolution=step)

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Tokens, under the target and the cap."""
        columns, domain = candidates.columns, case.names["domain"]
        loss = predict("domain", columns)
        words = f"the target (target_loss={self.target_loss:g} on {domain})"
        limits = [Limit(words, loss - self.target_loss, "domain", self.target_loss)]
        limits += self.caps(case, predict, columns)
        return Judgement(np.broadcast_to(columns["tokens"], loss.shape), limits)

    def sought(self, case: Case) -> str:
        """The tokens."""
        return "number of tokens"

    def unmet(self, case: Case) -> str:
        """No run gets there."""
        _, high = measured(case, "tokens")
        most = self.max_tokens or high * REACH
        cap = (
            ""
            if self.max_general_rise is None
            else f" with {case.general} within {self.max_general_rise:.3g} of its base loss"
        )
        target = f"{case.names['domain']} to {self.target_loss:g} nat/token"
        return f"no run of up to {most:.4g} tokens is predicted to bring {target}{cap}"
