"""What a fit returns: a frozen type of its own, every field documented, also when absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.fitting import frames
from cptlab.fitting.holdout import HeldOut
from cptlab.fitting.identify import Identifiability
from cptlab.fitting.objective import DELTA, Problem
from cptlab.fitting.table import law_columns
from cptlab.laws.base import Array, Law
from cptlab.records.observations import Observations

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Fit:
    """One law fitted to one domain. Shapes: n fitted rows, p parameters.

    law, law_name, domain: what was fitted to what. theta: (p,) parameters at the optimum of the exact
    objective. draws: (num_draws, p) Bayesian-bootstrap refits over whole runs; draw k weighs runs alike for
    every domain. observations: the fitted rows in order. predicted, residuals: (n,) [nat/token], residual =
    observed - predicted. support: input -> (lowest, highest) measured value. heldout: protocol -> HeldOut, a
    protocol that the data cannot bear is absent. baselines: name -> protocol -> HeldOut on the same rows.
    objective: summed Huber of log loss. r2: of the loss on the fitted rows. seed_noise: pooled standard
    deviation [nat/token] among runs that differ in seed alone, None where no seed repeats; seed_freedom: repeated
    runs beyond the first of each point. starts_reached of
    starts_tried polished starts reach the optimum; the next basin lies `next_basin` (relative) above it, inf
    if there is none. draws_failed: draws that did not converge. success: the optimum converged; message: how
    the fit went, in words. general: name of the general corpus.
    """

    law: Law
    law_name: str
    domain: str
    theta: Array
    draws: Array
    observations: Observations
    predicted: Array
    residuals: Array
    support: dict[str, tuple[float, float]]
    heldout: dict[str, HeldOut]
    baselines: dict[str, dict[str, HeldOut]]
    identifiability: Identifiability
    objective: float
    r2: float
    num_runs: int
    success: bool
    message: str
    seed_noise: float | None = None
    seed_freedom: int = 0
    starts_reached: int = 0
    starts_tried: int = 0
    next_basin: float = float("inf")
    draws_failed: int = 0
    general: str = field(default="general", repr=False)
    held: dict[str, float] = field(default_factory=dict, repr=False)
    delta: float = field(default=DELTA, repr=False)

    @property
    def num_points(self) -> int:
        """Fitted rows."""
        return len(self.observations)

    @property
    def num_draws(self) -> int:
        """Bootstrap draws."""
        return len(self.draws)

    @property
    def parameters(self) -> dict[str, float]:
        """Name -> value."""
        return dict(zip(self.law.parameter_names, self.theta.tolist(), strict=True))

    @property
    def num_free(self) -> int:
        """Parameters that were fitted, none of those held at a value."""
        problem = self.problem
        return int((problem.low < problem.high).sum())

    @property
    def problem(self) -> Problem:
        """What was minimised: the law on the fitted rows within its bounds."""
        low, high = self.law.bounds
        for name, value in self.held.items():
            i = self.law.parameter_names.index(name)
            low[i] = high[i] = value
        columns = {name: self.observations[name] for name in self.law.inputs}
        return Problem(self.law, columns, self.observations["loss"], low, high, self.delta)

    def interval(self, name: str, level: float = 0.9) -> tuple[float, float]:
        """Central interval of a parameter over the draws."""
        self._known(name)
        if not self.num_draws:
            raise UserError("this fit has no draws; fit with num_draws > 0.")
        column = self.draws[:, self.law.parameter_names.index(name)]
        low, high = np.quantile(column, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def profile_interval(self, name: str, level: float = 0.9) -> tuple[float, float]:
        """Interval of a parameter from its profile: see `cptlab.fitting.profile`; needs no draws."""
        from cptlab.fitting.profile import profile_interval  # which reads a Fit

        self._known(name)
        return profile_interval(self, name, level)

    def _known(self, name: str) -> None:
        if name not in self.law.parameter_names:
            raise UserError(f"law {self.law_name} has no parameter {name}.{closest(name, self.law.parameter_names)}")

    def predict(self, table: Any) -> Any:
        """Loss [nat/token]: a Series with the index of a DataFrame, else (n,) for a mapping or Observations."""
        columns = law_columns(frames.only_of(table, self.domain), self.law, self.domain, self.general)
        return frames.like(table, self.law.predict(self.theta, columns))

    def predict_draws(self, table: Any) -> Array:
        """Loss (num_draws, n) [nat/token] under every draw."""
        columns = law_columns(frames.only_of(table, self.domain), self.law, self.domain, self.general)
        return self.law.predict(self.draws, columns)

    def predict_interval(self, table: Any, level: float = 0.9) -> pd.DataFrame:
        """`low, mid, high` [nat/token] of the law's curve over the draws, with the index of a DataFrame.

        It tells how well the runs determine the curve, not how far the law misses them: intervals of
        `recommend` add that.
        """
        return frames.interval(self, table, level)

    def parameters_frame(self, level: float = 0.9) -> pd.DataFrame:
        """Parameter -> `value, low, high, unit`, and as `remark` what the data cannot tell of it; NaN without draws."""
        return frames.parameters(self, level)

    def heldout_frame(self) -> pd.DataFrame:
        """(what was left out, by what it was predicted) -> errors of the law and the baselines, as in HeldOut."""
        return frames.heldout(self)

    def to_frame(self) -> pd.DataFrame:
        """The fitted rows, with `predicted` and `residual` [nat/token]."""
        return frames.fitted_rows(self)

    def __repr__(self) -> str:
        return frames.short(self)

    def _repr_html_(self) -> str:
        return frames.html(self)
