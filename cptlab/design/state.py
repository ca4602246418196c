"""What is known now: the decision of every draw, and what each draw predicts for a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.bands import quantiles
from cptlab.decisions.candidates import pick
from cptlab.decisions.case import Case, resolve
from cptlab.decisions.choice import Choice, Predict
from cptlab.decisions.found import is_share
from cptlab.decisions.kriging import matern
from cptlab.decisions.misfit import misfit
from cptlab.decisions.question import Question
from cptlab.design.space import Point
from cptlab.errors import UserError
from cptlab.fitting.result import Fit

Array = NDArray[np.float64]
REACH = 1.5  # length of a law's misfit in the logit of the share, the middle one of `kriging`
LEAST_NOISE = 1e-4  # [nat/token], so that a perfect fit leaves something to learn


@dataclass(frozen=True)
class State:
    """A question under the present fits.

    case: the question. choice: varied quantity -> choice of the point fit; empty where no candidate meets the limits.
    draws: varied quantity -> choices (k,) of the draws, those without an answer at the fallback; kept (k,): their
    numbers among the draws of the fits.
    """

    case: Case
    choice: Mapping[str, float]
    draws: Mapping[str, Array]
    kept: NDArray[np.intp]

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Varied quantity -> central interval of the draws at the question's level."""
        return {name: quantiles(x, self.case.question.level) for name, x in self.draws.items()}

    def outcome(self, points: list[Point], role: str) -> tuple[Array, Array]:
        """Predicted final losses of runs (k, n) and what a run's loss differs by from that (n,) [nat/token].

        The second holds the noise of a run, and what the misfit of the law there does not share with its misfit at
        the choice: at the question's own size and tokens it fades over the logit of the share, elsewhere it is all.
        """
        case, fit = self.case, self.case.fits[role]
        here = np.array([_is_here(case, point) for point in points])
        share = np.array([point.share for point in points])
        loss = np.empty((len(self.kept), len(points)))
        noise = noise_of(fit, case.num_params)
        error = np.full(len(points), noise)
        if here.any():
            loss[:, here] = case.predict(role, {"domain_share": share[here]})[1][self.kept]
            if case.anchored_error(role, {"domain_share": share[here]}) is None:
                alike = matern(share[here], np.array([self.choice.get("domain_share", 0.5)]), REACH)[:, 0]
                error[here] = np.sqrt(noise**2 + misfit(fit, case.num_params) ** 2 * (1 - alike**2))
        for i in np.flatnonzero(~here):
            point = points[i]
            table = {"num_params": [point.num_params], "tokens": [point.tokens], "domain_share": [point.share]}
            columns = case.columns(role, {name: np.array(x, float) for name, x in table.items()})
            loss[:, i] = np.asarray(fit.predict_draws(columns))[self.kept, 0]
            error[i] = np.hypot(noise, misfit(fit, point.num_params))
        return loss, error


def state(fits: Mapping[str, Fit], question: Question) -> State:
    """Ask every draw. UserError for a question that chooses no share, since no run can then be told from another."""
    if not isinstance(question, Choice):
        name = getattr(question, "variant_name", type(question).__name__)
        raise UserError(f"question={name} chooses nothing by its draws, so no run can narrow it; ask e.g. tradeoff")
    case = resolve(fits, question)
    candidates, predict = question.candidates(case), Predict(case)
    judged = question.judge(case, candidates, predict)
    if predict.failed:
        raise UserError(f"the fit of {case.names[predict.failed]} failed: {case.fits[predict.failed].message}")
    whole = predict.whole
    excesses = [x.excess[whole] if np.ndim(x.excess) == 2 else x.excess for x in judged.limits]
    picked = pick(candidates, judged.objective[whole], excesses)
    met = picked.met[1:]
    answers = met | all(name in candidates.fallback for name in candidates.varied)
    draws = {}
    for name in candidates.varied:
        back = candidates.fallback.get(name, np.nan)
        draws[name] = np.where(met, picked.values[name][1:], back)[answers]
    choice = {name: float(picked.values[name][0]) for name in candidates.varied} if picked.met[0] else {}
    return State(case, choice, draws, np.flatnonzero(whole[1:])[answers])


def noise_of(fit: Fit, num_params: float) -> float:
    """Standard deviation of one run's final loss [nat/token]: of repeats, else of runs about the law in their size."""
    return max(fit.seed_noise or misfit(fit, num_params, within_size=True), LEAST_NOISE)


def scaled(name: str, value: Array) -> Array:
    """Where a width is comparable: shares as they are, every other quantity in its logarithm."""
    return value if is_share(name) else np.log(np.maximum(value, np.finfo(float).tiny))


def _is_here(case: Case, point: Point) -> bool:
    same_size = np.isclose(point.num_params, case.num_params, rtol=1e-3)
    return bool(same_size and np.isclose(point.tokens, case.tokens, rtol=0.1))
