"""Questions that choose: candidates, limits and an objective -> the best candidate with its interval and verdict.

The choice comes from the point fit, its interval from paired draws: draw k of the general and of the domain law rest
on the same weights of the runs, so their errors move together as they do in the data. Each draw also carries the
law's own misfit; where the asked size and tokens were measured, both are anchored to the measured losses (`anchor`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cptlab.decisions.bands import band, curves, profile, quantiles
from cptlab.decisions.candidates import Array, Candidates, Limit, Mask, Picked, pick
from cptlab.decisions.case import Case
from cptlab.decisions.doubts import doubts
from cptlab.decisions.extrapolation import extrapolation
from cptlab.decisions.found import Found, is_share
from cptlab.decisions.held_out import held_out_sentence
from cptlab.decisions.next_runs import next_runs
from cptlab.decisions.question import Question
from cptlab.decisions.recommendation import Recommendation

CLOSE = 1e-12  # relative difference of objectives that counts as none


@dataclass(frozen=True)
class Judgement:
    """Candidates judged: row 0 under the point fit, the others under the draws.

    objective: (1 + num_draws, m), lower is better. limits: excess (1 + num_draws, m) or (m,).
    """

    objective: Array
    limits: Sequence[Limit]


class Predict:
    """Losses of candidates [nat/token], (1 + num_draws, m): the point fit, then the draws.

    Remembers which rows hold a NaN (`whole`), and which role's point fit failed (`failed`).
    """

    def __init__(self, case: Case) -> None:
        self.case, self.failed = case, ""
        self.whole = np.ones(1 + case.num_draws, dtype=bool)

    def __call__(self, role: str, columns: Mapping[str, Array]) -> Array:
        """Losses of one role."""
        loss = np.concatenate([x[None] if x.ndim == 1 else x for x in self.case.predict(role, columns)])
        self.whole &= ~np.isnan(loss).any(axis=-1)
        self.failed = self.failed or (role if np.isnan(loss[0]).any() else "")
        return loss


@dataclass(kw_only=True)
class Choice(Question):
    """A question whose answer is one of many candidates; a variant says which, what limits them, what is best."""

    @abstractmethod
    def candidates(self, case: Case) -> Candidates:
        """What there is to choose from."""

    @abstractmethod
    def judge(self, case: Case, candidates: Candidates, predict: Predict) -> Judgement:
        """Objective and limits of every candidate under the point fit and every draw."""

    @abstractmethod
    def sought(self, case: Case) -> str:
        """What the objective is, in words (`predicted law loss`)."""

    @abstractmethod
    def unmet(self, case: Case) -> str:
        """That no candidate meets the question, in words."""

    def answer(self, case: Case, sizes: Mapping[float, str]) -> Recommendation:
        """The best candidate, or the reason why there is none."""
        candidates, predict = self.candidates(case), Predict(case)
        judged = self.judge(case, candidates, predict)
        if predict.failed:
            fit = case.fits[predict.failed]
            return abstain(case, f"the fit of {case.names[predict.failed]} failed: {fit.message}")
        whole = predict.whole
        limits = [Limit(x.words, _rows(x.excess, whole), x.role, x.allowed) for x in judged.limits]
        objective = judged.objective[whole]
        picked = pick(candidates, objective, [limit.excess for limit in limits])
        met = picked.met[1:]
        if not picked.met[0]:
            why = self.unmet(case)
            if met.any():
                why += f" (in {met.mean():.0%} of the draws some {_noun(candidates)} does)"
            only_share = candidates.varied == ["domain_share"]
            runs = next_runs(case, {"domain_share": 0.0}, {"domain_share": (0.0, 0.05)}, sizes) if only_share else []
            return abstain(case, why, curves(case, candidates, 0, {x.role: x.allowed for x in limits}), runs)
        found = _found(candidates, objective, limits, picked)
        case = case.moved(found.values.get("num_params", case.num_params), found.values.get("tokens", case.tokens))
        intervals = {name: quantiles(x, self.level) for name, x in found.draws.items() if len(x)}
        half = candidates.resolution / 2  # an interval is no finer than the grid
        intervals = {
            name: (max(low - half, 0.0), min(high + half, 1.0)) if half and is_share(name) else (low, high)
            for name, (low, high) in intervals.items()
        }
        reasons = list(dict.fromkeys(doubts(case, self, candidates, found, intervals)))
        because = "; ".join(reasons) or _confidence(case, self, intervals)
        values = {name: x for name, x in found.values.items() if name not in candidates.hidden}
        choice = dict(found.labels) | values
        runs = next_runs(case, choice, intervals, sizes, found.end_points(intervals))
        choice |= {k: v for k, v in (("num_params", case.num_params), ("tokens", case.tokens)) if k not in choice}
        allowed = {limit.role: limit.allowed for limit in limits}
        line = int(picked.index[0]) // candidates.length
        return Recommendation(
            verdict="measure_first" if reasons else "run",
            choice={name: x for name, x in choice.items() if isinstance(x, str) or np.isfinite(x)},
            interval=intervals,
            level=self.level,
            predicted=predicted(case, found.values, self.level),
            base_loss=base_losses(case),
            binding=_binding(self, case, candidates, objective[0], limits, found),
            extrapolation=extrapolation(case, found.values),
            because=because[0].upper() + because[1:] + ".",
            next_runs=runs,
            question=self.facts() | dict(case.names),
            curves=curves(case, candidates, line, allowed),
            profile=profile(case, candidates, line, allowed, self.level),
            table=self.rows(case, candidates, judged),
        )

    def rows(self, case: Case, candidates: Candidates, judged: Judgement) -> list[dict[str, Any]]:
        """Candidates as a table, where there are few enough to read."""
        return []


def abstain(case: Case, why: str, drawn: Any = None, runs: list[dict[str, Any]] | None = None) -> Recommendation:
    """No answer, and why."""
    question = case.question
    return Recommendation(
        verdict="abstain", choice={}, interval={}, level=question.level, predicted={}, base_loss=base_losses(case),
        binding="", extrapolation=case.guessed, because=why[0].upper() + why[1:].rstrip(".") + ".",
        next_runs=runs or [],
        question=question.facts() | dict(case.names), curves=drawn,
    )  # fmt: skip


def predicted(case: Case, values: Mapping[str, float], level: float) -> dict[str, tuple[float, float, float]]:
    """Corpus -> (low, mid, high) of the loss of one run at one place; over the draws.

    Where repeats with another seed measured the noise of runs, that of the run to come is in it.
    """
    table = {name: np.array([value]) for name, value in values.items()}
    found = {}
    for number, (role, name) in enumerate(case.names.items()):
        point, draws = case.predict(role, table)
        noise = np.random.default_rng([2, number]).standard_normal(draws.shape) * (case.fits[role].seed_noise or 0.0)
        x = band(point, draws + noise, level)[:, 0]
        found[name] = (float(min(x[:2])), float(x[1]), float(max(x[1:])))
    return found


def base_losses(case: Case) -> dict[str, float]:
    """Corpus -> base loss, where it is known."""
    return {case.names[role]: value for role, value in case.base_loss.items()}


def _rows(excess: Array, whole: Mask) -> Array:
    return excess[whole] if np.ndim(excess) == 2 else excess


def _noun(candidates: Candidates) -> str:
    return "share" if candidates.varied == ["domain_share"] else "candidate"


def _found(candidates: Candidates, objective: Array, limits: Sequence[Limit], picked: Picked) -> Found:
    """The point's pick and the draws' picks, a draw without an answer at its fallback or left out."""
    met = picked.met[1:]
    draws = {}
    for name in candidates.varied:
        values = picked.values[name][1:]
        back = candidates.fallback.get(name)
        draws[name] = values[met] if back is None else np.where(met, values, back)
    index = int(picked.index[0])
    labels = {name: str(words[index]) for name, words in candidates.labels.items()}
    agreed = {
        name: float(np.mean(words[picked.index[1:][met]] == words[index])) if met.any() else 0.0
        for name, words in candidates.labels.items()
    }
    point = [Limit(x.words, x.excess[0] if x.excess.ndim == 2 else x.excess, x.role, x.allowed) for x in limits]
    return Found(
        values={name: float(column[0]) for name, column in picked.values.items()}, labels=labels, agreed=agreed,
        draws=draws, met=met, index=index, is_interval=bool(picked.is_interval[0]),
        limits=point, binds=_binds(candidates, objective[0], point, float(picked.objective[0])), noun=_noun(candidates),
    )  # fmt: skip


def _binds(candidates: Candidates, objective: Array, limits: Sequence[Limit], best: float) -> list[int]:
    """Numbers of the limits without which the point fit would choose something better; all of them if only together."""

    def better(kept: list[Limit]) -> bool:
        without = float(pick(candidates, objective, [limit.excess for limit in kept]).objective)
        return without < best - CLOSE * max(1.0, abs(best))

    alone = [i for i in range(len(limits)) if better([*limits[:i], *limits[i + 1 :]])]
    return alone or (list(range(len(limits))) if len(limits) > 1 and better([]) else [])


def _binding(
    question: Choice, case: Case, candidates: Candidates, objective: Array, limits: Sequence[Limit], found: Found
) -> str:
    """What stops a better choice: a limit, an end of what was asked, or nothing."""
    at = ", ".join(f"{name} {shown(name, found.values[name])}" for name in candidates.varied)
    if found.binds:
        words = " and ".join(limits[i].words for i in found.binds)
        return f"{words} {'bind' if len(found.binds) > 1 else 'binds'} at {at}"
    ends = found.at_ends(candidates)
    if ends:
        return "nothing but the range: " + ", ".join(
            f"{name} is at its {side} end {shown(name, found.values[name])}" for name, side in ends.items()
        )
    inside = ", inside every limit" if limits else ""
    return f"nothing: the {question.sought(case)} is lowest at {at or 'the only candidate'}{inside}"


def shown(name: str, value: float) -> str:
    """Shares with three decimals, everything else with four digits."""
    return f"{value:.3f}" if is_share(name) else f"{value:.4g}"


def _confidence(case: Case, question: Question, intervals: Mapping[str, tuple[float, float]]) -> str:
    parts = []
    for name, (low, high) in intervals.items():
        what = "" if name == "domain_share" else f" of {name}"
        room = (
            f"the width of {question.max_interval_width:g}"
            if is_share(name)
            else f"a factor of {question.max_interval_factor:g}"
        )
        parts.append(
            f"the {question.level:.0%} interval{what}, {shown(name, low)} to {shown(name, high)}, is within {room}"
        )
    parts.append(held_out_sentence(case, list(intervals)))
    return ", and ".join(part for part in parts if part) or "the fits leave one candidate"
