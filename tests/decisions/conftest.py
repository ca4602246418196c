"""Fits planted by hand: straight lines in the share, so that every answer can be worked on paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from cptlab.fitting.fit import Fit
from cptlab.fitting.holdout import HeldOut
from cptlab.fitting.identify import Identifiability
from cptlab.laws.base import Law, Parameter
from cptlab.records.observations import Observations


@dataclass(kw_only=True)
class Line(Law):
    """L = a + b r, r the share of the fitted corpus; the same at every size and number of tokens."""

    inputs = ("num_params", "tokens", "share")
    linear = {"a": Parameter(), "b": Parameter()}  # noqa: RUF012
    shape: Mapping[str, Parameter] = None  # type: ignore[assignment]
    variant_name = "line"

    def __post_init__(self):
        self.shape = {}

    def basis(self, shape, columns):
        r = columns["share"]
        return np.stack([np.ones_like(r), r], axis=-1) * np.ones((*shape.shape[:-1], 1, 1))


def held(rmse: float) -> HeldOut:
    return HeldOut(0.01, 0.9, rmse, rmse, 0.9, 4, np.arange(4), np.full(4, 2.0))


def line_fit(
    domain: str,
    theta: Sequence[float],
    draws: Sequence[Sequence[float]],
    *,
    shares: Sequence[float] = (0, 0.25, 0.75, 1),  # too few for an anchor: the draws keep their spread
    sizes: Sequence[float] = (1e6, 3e6),
    base_loss: Sequence[float] | None = (2.0, 2.0),
    rmse: float = 0.001,
    nearest: float = 0.1,
    size_rmse: float | None = None,
    success: bool = True,
    law: Law | None = None,
) -> Fit:
    """A fit without residuals on shares x sizes at 1e6 tokens. `shares` are domain shares."""
    law = law or Line()
    size, domain_share = (x.ravel() for x in np.meshgrid(sizes, shares, indexing="ij"))
    share = domain_share if domain == "law" else 1 - domain_share
    n = len(share)
    columns = {"num_params": size, "tokens": np.full(n, 1e6), "share": share}
    columns |= {"domain_share": domain_share, "general_share": 1 - domain_share}
    if base_loss is not None:
        columns["base_loss"] = np.array(base_loss, float)[np.searchsorted(sizes, size)]
    predicted = law.predict(np.array(theta, float), columns)
    columns["loss"] = predicted
    rows = Observations(
        columns, np.array([f"r{i}" for i in range(n)]), np.full(n, domain), np.full(n, "fit"),
        np.array([f"base {s:g}" for s in size]), "planted",
    )  # fmt: skip
    heldout = {"ratio": held(rmse)} | ({} if size_rmse is None else {"size": held(size_rmse)})
    return Fit(
        law=law, law_name="line", domain=domain, theta=np.array(theta, float), draws=np.array(draws, float),
        observations=rows, predicted=predicted, residuals=np.zeros(n),
        support={name: (float(columns[name].min()), float(columns[name].max())) for name in law.inputs},
        heldout=heldout, baselines={"nearest_run": {name: held(nearest) for name in heldout}},
        identifiability=Identifiability(1.0, [], [], [], []), objective=0.0, r2=1.0, num_runs=n,
        success=success, message="planted.",
    )  # fmt: skip


@pytest.fixture
def lines() -> Callable[..., dict[str, Fit]]:
    """Base 2.0; general 2 + slope x r and law 4 - r, r the domain share. `slopes` are the draws' slopes.

    With a cap of 3 % the general loss may reach 2.06, so a slope of 0.2 binds at r = 0.3.
    """

    def make(slope=0.2, slopes=(0.19, 0.2, 0.21), start=2.0, **options) -> dict[str, Fit]:
        general = [(start + b, -b) for b in slopes]  # in the general corpus's own share 1 - r
        return {
            "general": line_fit("general", (start + slope, -slope), general, **options),
            "law": line_fit("law", (4, -1), [(4, -1)] * len(slopes), **options | {"base_loss": (4.0, 4.0)}),
        }

    return make
