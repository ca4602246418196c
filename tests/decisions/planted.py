"""Fits of hand-made laws: any sum of given terms, planted with its parameters and draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.fitting.holdout import HeldOut
from cptlab.fitting.identify import Identifiability
from cptlab.laws.base import Law, Parameter
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations


@dataclass(kw_only=True)
class Terms(Law):
    """L = sum_k c_k b_k(columns): functions of the columns, linear in all parameters."""

    terms: Sequence[Callable] = field(default_factory=list)
    inputs: tuple[str, ...] = ()  # type: ignore[misc]
    linear: Mapping[str, Parameter] = field(default_factory=dict)  # type: ignore[misc]
    shape: Mapping[str, Parameter] = field(default_factory=dict)  # type: ignore[misc]
    variant_name = "terms"

    def __post_init__(self):
        self.linear = {f"c{i}": Parameter() for i in range(len(self.terms))}

    def basis(self, shape, columns):
        rows = np.stack([np.broadcast_to(term(columns), columns[self.inputs[0]].shape) for term in self.terms], -1)
        return np.broadcast_to(rows, (*shape.shape[:-1], *rows.shape))


def held(rmse: float) -> HeldOut:
    return HeldOut(0.01, 0.9, rmse, rmse, 0.9, 4, np.arange(4), np.full(4, 2.0))


def planted(
    law: Law, theta: Sequence[float], grid: Mapping[str, Sequence[float]], *,
    domain: str = "law", spread: float = 0.0, num_draws: int = 40, base_loss: float | None = None,
    protocols: Sequence[str] = ("ratio", "size", "tokens"), rmse: float = 1e-4, nearest: float = 0.1,
    **columns: float,
) -> Fit:  # fmt: skip
    """A fit on all combinations of `grid`; draws scale every parameter by 1 +- spread, the same for all fits."""
    axes = np.meshgrid(*grid.values(), indexing="ij")
    table = {name: x.ravel().astype(float) for name, x in zip(grid, axes, strict=True)}
    n = len(next(iter(table.values())))
    if "domain_share" in table:
        table["share"] = table["domain_share"] if domain == "law" else 1 - table["domain_share"]
    table |= {name: np.full(n, float(value)) for name, value in columns.items()}
    if base_loss is not None:
        table["base_loss"] = np.full(n, base_loss)
    middle = np.array(theta, float)
    predicted = law.predict(middle, table)
    table["loss"] = predicted
    rows = Observations(
        table, np.array([f"r{i}" for i in range(n)]), np.full(n, domain), np.full(n, "fit"), np.full(n, "b"), "planted"
    )
    scale = 1 + spread * np.linspace(-1, 1, num_draws)[:, None]
    heldout = {name: held(rmse) for name in protocols}
    return Fit(
        law=law, law_name=law.variant_name, domain=domain, theta=middle, draws=middle * scale, observations=rows,
        predicted=predicted, residuals=np.zeros(n),
        support={name: (float(table[name].min()), float(table[name].max())) for name in law.inputs},
        heldout=heldout, baselines={"nearest_run": {name: held(nearest) for name in heldout}},
        identifiability=Identifiability(1.0, [], [], [], []), objective=0.0, r2=1.0, num_runs=n, success=True,
        message="planted.",
    )  # fmt: skip


SIZES, TOKENS, SHARES = (1e6, 1e7, 1e8), (1e7, 1e8, 1e9), (0.0, 0.25, 0.75, 1.0)  # too few shares for an anchor


def share_line(domain: str, start: float, slope: float, **options) -> Fit:
    """L = start + slope x domain share, at every size and number of tokens."""
    own = (lambda c: c["share"]) if domain == "law" else (lambda c: 1 - c["share"])
    law = Terms(terms=[lambda c: np.ones_like(c["share"]), own],
                inputs=("share", "num_params", "tokens"))  # fmt: skip
    grid = {"num_params": SIZES, "tokens": TOKENS, "domain_share": SHARES}
    return planted(law, (start, slope), grid, domain=domain, **options)


HOFFMANN = dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
GRID = {"num_params": SIZES, "tokens": TOKENS, "domain_share": SHARES}


def dcpt(**changes):
    """D-CPT with epsilon = 0 and N-free, so that f(r) = B r^(eta+beta) D_d^-beta + C r^-gamma at D = D_d / r."""
    theta = dict(E=1.0, A=0.0, B=30.0, C=0.2, alpha=0.3, eta=0.5, beta=0.25, epsilon=0.0, gamma=0.5) | changes
    grid = GRID | {"domain_share": SHARES[1:]}
    return planted(DCPT(), [theta[name] for name in DCPT().parameter_names], grid), theta


def general(slope=0.2, **options):
    return share_line("general", 2.0, slope, base_loss=2.0, **options)


def falling(slope=1.0):
    """L = 4 - slope r + 1000 / sqrt(D)."""
    law = Terms(
        terms=[lambda c: 4 - slope * c["share"], lambda c: c["tokens"] ** -0.5],
        inputs=("tokens", "share", "num_params"),
    )
    return planted(law, (1, 1000), GRID)


def chinchilla(**options):
    grid = {"num_params": (1e8, 1e9, 1e10), "tokens": (1e9, 1e10, 1e11)}
    theta = [HOFFMANN[name] for name in Chinchilla().parameter_names]
    return {"text": planted(Chinchilla(), theta, grid, domain="text", **options)}
