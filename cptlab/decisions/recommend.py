"""Fitted laws + a question -> a recommendation: a choice with its interval, or the reason to measure first.

The choice comes from the point fit, its interval from paired draws: draw k of the general and of the domain
law rest on the same weights of the runs, so their errors move together as they do in the data. Where the asked
size and tokens were measured, the law is anchored to the measured losses (`anchor`); each draw also carries
what the law misses there, or elsewhere the misfit of whole runs (`case.misfit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.case import SAME, Case, resolve
from cptlab.decisions.doubts import doubts, extrapolation, measured_shares
from cptlab.decisions.next_runs import next_shares
from cptlab.decisions.question import Question
from cptlab.decisions.recommendation import Curves, Recommendation

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
GRID = np.linspace(0, 1, 401)  # domain shares; a binding constraint is refined between two of them


def recommend(fits: Mapping[str, Fit], question: Question, sizes: Mapping[float, str] | None = None) -> Recommendation:
    """Answer a question about two corpora.

    fits: corpus -> its fit, all from one table with one seed. sizes: num_params -> train.py's name of it.
    """
    case = resolve(fits, question)
    loss, draws = {}, {}
    for role, name in case.names.items():
        loss[role], draws[role] = case.predict(role, GRID)
        if not np.isfinite(loss[role]).all():
            return _abstain(case, question, f"the fit of {name} failed: {case.fits[role].message}", None, [])
    finite = np.isfinite(draws["general"]).all(-1) & np.isfinite(draws["domain"]).all(-1)
    draws = {role: values[finite] for role, values in draws.items()}
    curves = _curves(case, question, loss, draws)
    point = question.choose(GRID, loss["general"], loss["domain"], case.base_loss)
    of_draws = question.choose(GRID, draws["general"], draws["domain"], case.base_loss)
    met = ~np.isnan(of_draws.share)
    if np.isnan(point.share):
        why = question.unmet(case.names)
        if met.any():
            why += f" (in {met.mean():.0%} of the draws some share does)"
        return _abstain(case, question, why, curves, _runs(case, [0.0, 0.05], sizes))
    chosen = float(point.share)
    share_draws = np.where(met, of_draws.share, 0.0)
    interval = _interval(share_draws, question.level)
    reasons = list(dict.fromkeys(doubts(case, question, point, share_draws, met)))
    because = "; ".join(reasons) or _confidence(case, question, interval)
    choice = {"domain_share": chosen, "num_params": case.num_params, "tokens": case.tokens}
    return Recommendation(
        verdict="measure_first" if reasons else "run",
        choice={name: value for name, value in choice.items() if np.isfinite(value)},
        interval={"domain_share": interval} if interval else {},
        level=question.level,
        predicted={case.names[role]: _predicted(case, role, chosen, question.level) for role in case.fits},
        base_loss=_base_losses(case),
        binding=_binding(case, question, loss, chosen),
        extrapolation=extrapolation(case, chosen),
        because=because[0].upper() + because[1:] + ".",
        next_runs=_runs(case, [chosen, *(interval or ())], sizes),
        question=question.facts() | dict(case.names),
        curves=curves,
    )


def _abstain(
    case: Case, question: Question, why: str, curves: Curves | None, next_runs: list[dict[str, Any]]
) -> Recommendation:
    return Recommendation(
        verdict="abstain",
        choice={},
        interval={},
        level=question.level,
        predicted={},
        base_loss=_base_losses(case),
        binding="",
        extrapolation=case.guessed,
        because=why[0].upper() + why[1:] + ".",
        next_runs=next_runs,
        question=question.facts() | dict(case.names),
        curves=curves,
    )


def _interval(draws: Array, level: float) -> tuple[float, float] | None:
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _predicted(case: Case, role: str, chosen: float, level: float) -> tuple[float, float, float]:
    """(low, mid, high) of the mean loss at the choice; over the draws."""
    point, draws = case.predict(role, np.array([chosen]))
    mid = float(point[0])
    low, high = _interval(draws[np.isfinite(draws[:, 0]), 0], level) or (mid, mid)
    return min(low, mid), mid, max(high, mid)


def _curves(case: Case, question: Question, loss: Mapping[str, Array], draws: Mapping[str, Array]) -> Curves:
    """What the answer is read from."""
    tail = (1 - question.level) / 2
    bands = {}
    for role, name in case.names.items():
        ends = np.quantile(draws[role], [tail, 1 - tail], axis=0) if len(draws[role]) else [loss[role]] * 2
        bands[name] = np.stack([ends[0], loss[role], ends[1]])
    allowed = {case.names[role]: value for role, value in question.limits(case.base_loss).items()}
    return Curves(GRID, bands, allowed, measured_shares(case), case.num_params, case.tokens)


def _binding(case: Case, question: Question, loss: Mapping[str, Array], chosen: float) -> str:
    """Which limit lies within one grid step of the choice, or which end of the range stops it."""
    step = GRID[1]
    for role, limit in question.limits(case.base_loss).items():
        beside = [share for share in (chosen - step, chosen + step) if 0 <= share <= 1]
        if any(np.interp(share, GRID, loss[role]) > limit for share in beside):
            return question.binding(chosen, case.names)
    if chosen == GRID[-1]:
        return f"nothing: {case.names['general']} stays under its cap even at share 1 (upper end)"
    if chosen == GRID[0]:
        return f"nothing: {case.names['domain']} loss is predicted lowest at share 0 (lower end)"
    return f"nothing: the predicted {case.names['domain']} loss is lowest at {chosen:.3f}, inside the cap"


def _confidence(case: Case, question: Question, interval: tuple[float, float] | None) -> str:
    errors = [
        f"{case.names[role]} {fit.heldout['ratio'].rmse:.3g} against "
        f"{fit.baselines['nearest_run']['ratio'].rmse:.3g} nat of the nearest run"
        for role, fit in case.fits.items()
        if "ratio" in fit.heldout and "ratio" in fit.baselines.get("nearest_run", {})
    ]
    low, high = interval or (np.nan, np.nan)
    return (
        f"the {question.level:.0%} interval, {low:.3f} to {high:.3f}, is within the width of "
        f"{question.max_interval_width:g}, and left-out shares are predicted well ({', '.join(errors)})"
    )


def _runs(case: Case, wanted: list[float], sizes: Mapping[float, str] | None) -> list[dict[str, Any]]:
    """Overrides of the next runs: at the asked size where it was measured, else at the largest measured."""
    rows = case.fits["domain"].observations.columns
    if "share" not in rows:
        return []
    size, measured = np.nan, np.ones(len(rows["share"]), dtype=bool)
    if "num_params" in rows:
        near = np.isclose(rows["num_params"], case.num_params, rtol=SAME)
        size = case.num_params if near.any() else float(rows["num_params"].max())
        measured = np.isclose(rows["num_params"], size, rtol=SAME)
    shares = next_shares(wanted, np.unique(rows["share"][measured]))
    name = next((text for known, text in (sizes or {}).items() if np.isclose(known, size, rtol=SAME)), None)
    fixed: dict[str, Any] = {"tokens": case.tokens} if np.isfinite(case.tokens) else {}
    if name is not None:
        fixed["model.size"] = name
    elif np.isfinite(size):
        fixed["num_params"] = size
    return [{"mixture.domain_share": share, **fixed} for share in shares]


def _base_losses(case: Case) -> dict[str, float]:
    return {case.names[role]: value for role, value in case.base_loss.items()}
