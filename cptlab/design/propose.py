"""Records and a question -> the next runs with their expected effect and cost, or that they are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.decisions.next_runs import MIXTURES
from cptlab.decisions.recommend import recommend
from cptlab.design.bisect import bisect
from cptlab.design.space import Point, Space, even_shares
from cptlab.design.state import State, state
from cptlab.design.stop import check_tolerance, is_enough, sentence
from cptlab.design.utility import Expected, choose
from cptlab.errors import UserError
from cptlab.fitting.chosen import laws_for
from cptlab.fitting.fit import fit
from cptlab.records.observations import Observations

if TYPE_CHECKING:
    from cptlab.decisions.question import Question
    from cptlab.laws.base import Law
    from cptlab.records.source import Source


class TooFewError(UserError):
    """The runs are too few for the law, which says itself how many it needs."""


@dataclass(frozen=True)
class NextRun:
    """One run to train. overrides: of train.py, whole where a recorded run of that size tells the rest, else what
    changes. point, expected: its place, and its cost and effect; None where the question chooses more than a share,
    the second also where no draw tells a run from another."""

    overrides: tuple[str, ...]
    point: Point | None = None
    expected: Expected | None = None


@dataclass(frozen=True)
class Proposal:
    """enough: whether no run is needed. because: one sentence. runs: in the order of their worth."""

    enough: bool
    because: str
    runs: tuple[NextRun, ...] = ()
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


def propose(
    source: Source, law: Law, question: Question, *, tolerance: float = 0.02, budget: float = np.inf,
    count: int = 1, num_draws: int = 200, seed: int = 0, known: Sequence[Point] = (), space: Space | None = None,
) -> Proposal:  # fmt: skip
    """What `cptlab next` prints, and what one round of an adaptive sweep trains.

    budget: FLOPs for all of the proposed runs together. known: runs that are done, by the shares they asked for;
    records have the achieved ones. space: what may be chosen, else `space_of`. UserError where nothing was recorded,
    TooFewError where it cannot be fitted yet.
    """
    check_tolerance(tolerance)
    if count < 1:
        raise UserError(f"--count is {count}; it must be 1 or more")
    if not budget > 0:
        raise UserError(f"--budget is {budget:g}; it must be above 0 FLOPs")
    now = present(source, law, question, num_draws, seed)
    because = sentence(now, tolerance)
    if is_enough(now, tolerance):
        return Proposal(True, because, intervals=now.intervals)
    if set(now.draws) != {"domain_share"}:
        named = recommend(now.case.fits, question, source.sizes()).next_runs
        runs = [NextRun(tuple(f"{key}={value}" for key, value in run.items())) for run in named]
        return Proposal(False, because, tuple(runs[:count]), now.intervals)
    done = [*points_of(source.read()), *known]
    space = space or space_of(now, done)
    found = following(now, space, done, count, budget, seed)
    runs = [NextRun(tuple(overrides(source, point)), point, expected) for point, expected in found]
    if not runs and (cheapest := min((space.cost(p, done) for p in space.candidates(done)), default=0.0)) > budget:
        because += f"; a run costs {cheapest:.3g} FLOPs, which the budget does not hold"
    return Proposal(False, because, tuple(runs), now.intervals)


def present(source: Source, law: Law, question: Question, num_draws: int, seed: int) -> State:
    """What the records say now. UserError where nothing was recorded, TooFewError where it cannot be fitted yet."""
    rows = source.read()
    laws, _ = laws_for(law, rows, seed)
    question.refuse_unanswerable([one.of_table(rows.columns) for one in laws.values()], [rows] * len(laws))
    options: dict[str, Any] = {"num_draws": num_draws, "seed": seed, "heldout": False}
    try:
        fits = {name: fit(one, rows, domain=name, **options) for name, one in laws.items()}
    except UserError as error:
        raise TooFewError(str(error)) from error
    return state(fits, question)


def following(
    now: State, space: Space, done: Sequence[Point], count: int = 1, budget: float = np.inf, seed: int = 0
) -> list[tuple[Point, Expected | None]]:
    """The next runs by `utility`. Where draws tell none from another, the choice itself is measured (`bisect`)."""
    found = choose(now, space, done, count, budget, seed)
    if found:
        return [(one.point, one) for one in found]
    point = bisect(now, space, done)
    return [(point, None)] if point is not None and space.cost(point, done) <= budget else []


def points_of(rows: Observations) -> list[Point]:
    """The recorded runs: each with its achieved share and the most tokens that a row of it has."""
    share = rows.columns.get("domain_share")
    if share is None:
        raise UserError("the records have no domain_share, so no next share can be chosen; see `fit_law.py` next_runs")
    found = []
    for run in np.unique(rows.run):
        mine = np.flatnonzero(rows.run == run)
        last = mine[np.argmax(rows["tokens"][mine])]
        seed = int(rows.columns["seed"][last]) if "seed" in rows.columns else 0
        size = float(rows.columns["num_params"][last]) if "num_params" in rows.columns else 1.0
        found.append(Point(size, float(rows["tokens"][last]), round(float(share[last]), 3), seed))
    return found


def space_of(now: State, done: Sequence[Point]) -> Space:
    """Every share at the question's size and tokens; at all recorded sizes where that size was never run.

    Cheaper sizes are no candidates beside the question's own: the draws hold the law's parameters, not how wrong its
    form is at each size, so many cheap runs there look as if they told more than they do (benchmarks/adaptive.py).
    """
    sizes = sorted({point.num_params for point in done})
    asked = [size for size in sizes if np.isclose(size, now.case.num_params, rtol=1e-3)]
    return Space(tuple(asked or sizes), (float(now.case.tokens),), even_shares())


def overrides(source: Source, point: Point) -> list[str]:
    """train.py overrides of a point: those of the nearest recorded run of its size, share, tokens and seed replaced."""
    changes = {"tokens": f"{point.tokens:.6g}", "mixture.domain_share": f"{point.share:g}", "seed": str(point.seed)}
    recorded = source.overrides(point.num_params, point.tokens)
    if recorded is None:
        return [*(f"{key}={value}" for key, value in changes.items()), f"num_params={point.num_params:.6g}"]
    replaced = MIXTURES | changes.keys()
    kept = [text for text in recorded if text.lstrip("+~").partition("=")[0] not in replaced]
    changes["tokens"] = str(round(point.tokens))
    return [*kept, *(f"{key}={value}" for key, value in changes.items())]
