"""Fit a law to a table: parameters, draws, held-out error, what the data cannot tell."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.fitting.bootstrap import bootstrap
from cptlab.fitting.demands import count_levels, folded_parameters, refuse_too_little
from cptlab.fitting.export import to_json
from cptlab.fitting.holdout import judge, judge_baselines, r_squared
from cptlab.fitting.identify import identify
from cptlab.fitting.objective import DELTA, Problem
from cptlab.fitting.protocols import Planner, protocols
from cptlab.fitting.result import Fit
from cptlab.fitting.solve import Solution, solve
from cptlab.fitting.table import column_names, to_observations
from cptlab.laws import known_laws
from cptlab.laws.auto import Auto
from cptlab.laws.base import Law
from cptlab.records.observations import Observations

__all__ = ["Fit", "fit", "seed_noise", "to_json"]
SIGNIFICANT = 3  # digits of share and tokens by which repeats with another seed are recognised
ALIKE = ("num_params", "tokens", "share", "peak_lr", "tokens_per_step", "replay_share", "lr_area", "anneal_area")


def fit(
    law_name: str | Law, table: Any, *,
    domain: str | None = None, general: str = "general", num_draws: int = 400, seed: int = 0,
    heldout: bool | Planner = True, fixed: Mapping[str, float] | None = None, delta: float = DELTA,
) -> Fit:  # fmt: skip
    """Fit a law to the rows of one domain.

    law_name: a name (`dcpt`, `chinchilla`), a Law, or `auto`, the law that `compare` chooses. table: DataFrame,
    mapping of columns (names of `cptlab.units`) or Observations. domain: whose loss, needed where the table has
    several. general: name of the general corpus, whose share is `general_share`. num_draws: bootstrap refits.
    heldout: refit with rows left out, by `protocols`, or by folds of one's own and then without baselines. fixed:
    parameters to hold at a value. delta: Huber threshold.
    """
    law, why = law_name if isinstance(law_name, Law) else _law(law_name), ""
    if isinstance(law, Auto):
        from cptlab.fitting.compare import compare  # which fits every law

        found = compare(table, domain=domain, general=general, seed=seed, fixed=fixed)
        law, why = found.law, f"law=auto: {found.why} "
    law = law.of_table(column_names(table))
    rows = to_observations(table, law, domain, general)
    counts = count_levels(law, rows)
    folded = folded_parameters(law, counts, fixed or {})
    problem = _problem(law, rows, folded | dict(fixed or {}), delta)
    refuse_too_little(law, rows, counts, problem)

    planner = protocols if isinstance(heldout, bool) else heldout
    plan = planner(law, rows) if heldout else {}
    folds = {fold.tobytes(): fold for group in plan.values() for fold in group}  # a fold of two protocols once
    weights = np.array([np.ones(len(rows)), *(~fold for fold in folds.values())], dtype=float)
    solution = solve(problem, weights, seed=seed)
    theta = solution.theta[0]
    predicted = law.predict(theta, problem.columns)
    guess = dict(zip(folds, law.predict(solution.theta, problem.columns)[1:], strict=True))
    held = {name: judge(rows, group, [guess[f.tobytes()][f] for f in group]) for name, group in plan.items()}
    drawn = bootstrap(problem, theta, rows.run, num_draws, seed)
    failed = int((~drawn.converged).sum())
    residuals = rows["loss"] - predicted
    noise, freedom = seed_noise(rows)
    return Fit(
        law=law, law_name=law.variant_name, domain=str(rows.domain[0]), theta=theta, draws=drawn.theta,
        observations=rows, predicted=predicted, residuals=residuals,
        support={x: (float(rows[x].min()), float(rows[x].max())) for x in law.inputs},
        heldout=held, baselines=judge_baselines(rows, plan if heldout is True else {}),
        identifiability=identify(problem, theta, folded, counts),
        objective=float(solution.objective[0]), r2=r_squared(rows["loss"], residuals),
        num_runs=len(set(rows.run.tolist())), success=bool(solution.converged[0]),
        message=why + _message(rows, solution, folded, failed, num_draws),
        seed_noise=noise, seed_freedom=freedom,
        starts_reached=int(solution.reached[0]), starts_tried=solution.tried,
        next_basin=float(solution.next_basin[0]), draws_failed=failed, general=general,
        held=folded | dict(fixed or {}), delta=delta,
    )  # fmt: skip


def seed_noise(rows: Observations) -> tuple[float | None, int]:
    """Spread of rows equal in all but seed: (pooled standard deviation [nat/token] or None, repeated runs).

    Rows of one run are no repeats of each other, so the second, the degrees of freedom, counts runs beyond the first.
    """
    if "seed" not in rows.columns:
        return None, 0
    alike = [np.array([f"{x:.{SIGNIFICANT}g}" for x in rows[name]]) for name in ALIKE if name in rows.columns]
    _, group = np.unique(np.stack([rows.base, *alike]).astype(str), axis=1, return_inverse=True)
    squares, freedom, repeats = 0.0, 0, set()
    for key in np.unique(group):
        mine = group == key
        if len(np.unique(rows["seed"][mine])) > 1:
            loss = rows["loss"][mine]
            squares += float(np.sum((loss - loss.mean()) ** 2))
            freedom += len(loss) - 1
            repeats |= set(np.unique(rows.run[mine])[1:].tolist())
    return (float(np.sqrt(squares / freedom)) if freedom else None), len(repeats)


def _law(name: str) -> Law:
    known = known_laws()
    if name == "auto":
        return Auto()
    if name not in known:
        raise UserError(f"law={name} is not known.{closest(name, [*known, 'auto'])}")
    return known[name]()


def _problem(law: Law, rows: Observations, fixed: Mapping[str, float], delta: float) -> Problem:
    low, high = law.bounds
    for name, value in fixed.items():
        i = law.parameter_names.index(name)
        low[i] = high[i] = value
    return Problem(law, {x: rows[x] for x in law.inputs}, rows["loss"], low, high, delta)


def _message(rows: Observations, solution: Solution, folded: Mapping[str, float], failed: int, draws: int) -> str:
    parts = [f"{int(solution.reached[0])} of {solution.tried} polished starts reach the best objective"]
    if np.isfinite(solution.next_basin[0]):
        parts.append(f"the next basin lies {solution.next_basin[0]:.2g} (relative) above it")
    if not solution.converged[0]:
        parts.append("the best start has not converged")
    if folded:
        parts.append("fixed for want of distinct inputs: " + ", ".join(f"{k} = {v:g}" for k, v in folded.items()))
    if failed:
        parts.append(f"{failed} of {draws} draws did not converge")
    parts += [f"{count} rows left out ({reason})" for reason, count in rows.left_out.items()]
    return "; ".join(parts) + "."
