"""How to split compute between size and tokens (Hoffmann et al. 2022, arXiv 2203.15556; D-CPT, use 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.decisions.answerable import reads_mixture
from cptlab.decisions.axes import geometric, measured, reads_share, shares
from cptlab.decisions.candidates import Candidates, grid
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Judgement, Predict
from cptlab.decisions.limits import Capped
from cptlab.decisions.question import share_or_null
from cptlab.errors import UserError
from cptlab.laws.base import Law
from cptlab.records.observations import Observations
from cptlab.variants import variant

FLOPS = 6.0  # [FLOP] of one parameter and token, forward and backward
SIZES, SHARES = 241, 51
REACH = 10.0  # how far beyond the measured sizes candidates go


@variant("question")
@dataclass(kw_only=True)
class ComputeOptimal(Capped):
    """argmin_{N, D} L_domain(N, D, r) subject to 6 N D = C, at a fixed share r or over r under a cap on general rise.

    For Chinchilla, and D-CPT at a fixed share, the answer has the closed form of `chinchilla_optimum`.

    flops: C, compute of the run [FLOP].
    domain_share: r; null = chosen too, which needs max_general_rise where the law reads a share.
    max_general_rise: allowed rise of the general loss over the base loss of the same size; null = no cap.
    min_num_params, max_num_params: sizes to choose from; null = ten times beyond the measured ones.
    """

    flops: float = 0.0
    domain_share: float | None = None
    min_num_params: float | None = None
    max_num_params: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not FLOPS <= self.flops < np.inf:
            raise UserError(f"question.flops is {self.flops:g}; give the compute of the run in FLOP, above {FLOPS:g}")
        share_or_null("domain_share", self.domain_share)
        for key in ("num_params", "tokens"):
            if getattr(self, key) is not None:
                raise UserError(f"question.{key} is what question=compute_optimal chooses; leave it null")

    @property
    def needs(self) -> dict[str, str]:
        """What a larger model and what more tokens gain."""
        return {
            "num_params": "so no size can be chosen; fit one that does (law=chinchilla, law=dcpt)",
            "tokens": "so compute cannot be split; fit one that does (law=chinchilla, law=dcpt)",
        }

    def refuse_unanswerable(self, laws: Sequence[Law], tables: Sequence[Observations]) -> None:
        """A law of the mixture also needs a share, or a cap that chooses it."""
        super().refuse_unanswerable(laws, tables)
        if any(map(reads_mixture, laws)) and self.domain_share is None and self.max_general_rise is None:
            raise UserError(
                "question=compute_optimal needs a share or a cap: give question.domain_share, or "
                "question.max_general_rise to choose the share too"
            )

    def candidates(self, case: Case) -> Candidates:
        """Sizes, evenly in their logarithm, at each share; D = C / 6 N."""
        low, high = measured(case, "num_params")
        first, last = self.min_num_params or low / REACH, self.max_num_params or high * REACH
        last = min(last, self.flops / FLOPS)  # at least one token
        sizes = geometric("max_num_params", first, last, SIZES)
        share = shares(case, self.domain_share, SHARES) if reads_share(case) else np.array([np.nan])
        table = grid({"domain_share": share, "num_params": sizes})
        columns = dict(table.columns) | {"tokens": self.flops / FLOPS / table.columns["num_params"]}
        if np.isnan(share[0]):
            del columns["domain_share"]
        return Candidates(
            columns, "num_params", SIZES, across="domain_share" if len(share) > 1 else "",
            geometric=frozenset({"num_params", "tokens"}), follows=frozenset({"tokens"}),
            resolution=float(share[1] - share[0]) if len(share) > 1 else 0.0,
        )  # fmt: skip

    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Domain loss under the cap."""
        columns = candidates.columns
        return Judgement(predict("domain", columns), self.caps(case, predict, columns))

    def sought(self, case: Case) -> str:
        """The domain loss."""
        return f"predicted {case.names['domain']} loss at {self.flops:.4g} FLOP"

    def unmet(self, case: Case) -> str:
        """No size and share keeps the cap."""
        rise = 0.0 if self.max_general_rise is None else self.max_general_rise
        cap = f"keeps the predicted {case.general} loss within {rise:.3g} of its base loss"
        return f"at {self.flops:.4g} FLOP no size and share {cap}"


def chinchilla_optimum(parameters: Mapping[str, float], flops: float) -> tuple[float, float]:
    """(N, D) that minimise E + A/N^alpha + B/D^beta at C = 6 N D: N = G (C/6)^(beta/(alpha+beta)), D = C / 6 N.

    G = (alpha A / (beta B))^(1/(alpha+beta)). D-CPT at share r is this with B r^eta in place of B.
    """
    A, B, alpha, beta = (parameters[name] for name in ("A", "B", "alpha", "beta"))
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (flops / FLOPS) ** (beta / (alpha + beta))
    return N, flops / FLOPS / N
