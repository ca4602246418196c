"""Fits in stages: runs from scratch tell what runs from a base share with them (arXiv 2407.02118)."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np

from cptlab.errors import UserError
from cptlab.fitting.bootstrap import run_weights
from cptlab.fitting.fit import Fit, fit
from cptlab.fitting.objective import DELTA, Problem
from cptlab.fitting.polish import Polished, polish
from cptlab.laws.base import Array, Law, Parameter, spread, stack_terms
from cptlab.laws.crosslingual import Crosslingual
from cptlab.records.observations import Observations

SHARED = ("E", "A", "alpha")


def fit_two_stages(
    table: Observations | Mapping[str, Any],
    *,
    seed: int = 0,
    delta: float = DELTA,
    num_draws: int = 400,
    **options: Any,
) -> tuple[Fit, Fit]:  # fmt: skip
    """Fit `crosslingual` to the rows at from_scratch = 1, then to those at 0 with E, A, alpha held.

    table: with the column from_scratch. Other arguments are those of `fit`. Returns the fits of scratch and of
    continued runs. Draw k of the second holds draw k of the first one's E, A and alpha, so that its intervals carry
    what the runs from scratch do not know.
    """
    columns = table.columns if isinstance(table, Observations) else table
    if "from_scratch" not in columns:
        raise UserError("a fit in two stages needs the column from_scratch: 1 for runs from random weights, else 0.")
    from_scratch = np.asarray(columns["from_scratch"], float)
    if not np.isin(from_scratch, (0, 1)).all() or len(np.unique(from_scratch)) < 2:
        raise UserError("from_scratch must be 0 or 1, and a fit in two stages needs rows of both.")
    options |= {"seed": seed, "delta": delta}
    first = _rows(table, from_scratch == 1)
    scratch = fit(Crosslingual(), first, fixed={"gamma": 0.0}, num_draws=num_draws, **options)
    held = {name: scratch.parameters[name] for name in SHARED}
    continued = fit(Crosslingual(), _rows(table, from_scratch == 0), fixed=held, num_draws=0, **options)
    if not num_draws:
        return scratch, continued
    drawn = _draws(scratch, continued, seed, delta)
    failed = int((~drawn.converged).sum())
    told = f" {failed} of {num_draws} draws did not converge." if failed else ""
    message = continued.message + told
    return scratch, dataclasses.replace(continued, draws=drawn.theta, draws_failed=failed, message=message)


@dataclass(kw_only=True)
class Continued(Law):
    """L = E + A/N^alpha + exp(b - beta (log D - mean) - gamma (log N - mean)), with E, A and alpha each member's own.

    Their derivatives are given as 0, so that no step moves them: a batch of draws keeps what each brought along. b is
    the log of the last term in the middle of the rows, which undoes the tie of B with its exponents.
    """

    inputs: ClassVar = ("num_params", "tokens")
    linear: ClassVar = {}
    shape: ClassVar = {
        **{name: Crosslingual().parameters[name] for name in SHARED},
        "b": Parameter(-inf, inf),
        **{name: Crosslingual.shape[name] for name in ("beta", "gamma")},
    }
    variant_name: ClassVar = "crosslingual"

    middle: tuple[float, float]  # means of log N and log D

    def predict(self, theta: Array, columns: Mapping[str, Array]) -> Array:
        """theta (..., 6), columns name -> (n,). Returns (..., n)."""
        E, A, alpha, *_ = spread(theta)
        return E + A * np.exp(-alpha * np.log(columns["num_params"])) + self._term(theta, columns)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """By b, beta, gamma; 0 by the others. Returns (..., n, 6)."""
        size, tokens = self._centred(columns)
        term = self._term(theta, columns)
        still = np.zeros_like(term)
        return stack_terms(still, still, still, term, -tokens * term, -size * term)

    def _centred(self, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        return np.log(columns["num_params"]) - self.middle[0], np.log(columns["tokens"]) - self.middle[1]

    def _term(self, theta: Array, columns: Mapping[str, Array]) -> Array:
        *_, b, beta, gamma = spread(theta)
        size, tokens = self._centred(columns)
        return np.exp(b - beta * tokens - gamma * size)


def _draws(scratch: Fit, continued: Fit, seed: int, delta: float) -> Polished:
    """Refits of the continued runs with the weights of `bootstrap`, draw k from draw k of the runs from scratch."""
    rows, known = continued.observations, continued.parameters
    columns = {name: rows[name] for name in Continued.inputs}
    size, tokens = (float(np.log(column).mean()) for column in columns.values())
    law = Continued(middle=(size, tokens))
    start = {"b": np.log(max(known["B"], 1e-300)) - known["beta"] * tokens - known["gamma"] * size}
    start |= {name: known[name] for name in ("beta", "gamma")}
    drawn = dict(zip(scratch.law.parameter_names, scratch.draws.T, strict=True))
    theta = np.stack([drawn[n] if n in SHARED else np.full(scratch.num_draws, start[n]) for n in law.shape], axis=1)
    problem = Problem(law, columns, rows["loss"], *law.bounds, delta)
    found = polish(problem, theta, run_weights(rows.run, scratch.num_draws, seed))
    got = dict(zip(law.shape, found.theta.T, strict=True))
    got["B"] = np.exp(got["b"] + got["beta"] * tokens + got["gamma"] * size)
    return dataclasses.replace(found, theta=np.stack([got[n] for n in continued.law.parameter_names], axis=1))


def _rows(table: Observations | Mapping[str, Any], mask: np.ndarray) -> Observations | dict[str, Array]:
    if isinstance(table, Observations):
        return table.where(mask)
    whole = {name: np.asarray(table[name]) for name in table}
    return {name: column[mask] if column.ndim else column for name, column in whole.items()}
