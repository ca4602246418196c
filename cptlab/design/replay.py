"""A design played through: start, fit, choose, measure, until the interval is within the tolerance or FLOPs end.

`measure` trains the points, or looks them up in recorded runs, so that one full grid judges any number of designs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cptlab.decisions.question import Question
from cptlab.design.bisect import bisect
from cptlab.design.propose import following
from cptlab.design.space import Point, Space
from cptlab.design.start import NEEDED, start
from cptlab.design.state import State, state
from cptlab.design.stop import is_enough
from cptlab.errors import UserError
from cptlab.fitting.fit import fit
from cptlab.fitting.result import Fit
from cptlab.records.observations import Observations

Table = Mapping[str, Any] | Observations
Measure = Callable[[Sequence[Point]], Table]
WAYS = ("utility", "bisect")


@dataclass(frozen=True)
class Step:
    """After one choice: points so far, FLOPs so far, choice and intervals; empty where nothing could be fitted yet."""

    points: tuple[Point, ...]
    flops: float
    choice: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    enough: bool


def replay(
    space: Space, measure: Measure, question: Question, *, law: Any = "dcpt", tolerance: float = 0.02,
    way: str = "utility", first: int = NEEDED, most: int = 40, num_draws: int = 100, seed: int = 0,
) -> list[Step]:  # fmt: skip
    """Every step of a design until it is enough, `most` runs are done or no candidate is left.

    measure: points -> a table of all of them, as `fit` takes it. way: how a run is chosen after the start.
    """
    if way not in WAYS:
        raise UserError(f"design: way is {way}; it must be {' or '.join(WAYS)}")
    done = start(space, first, question.num_params)
    steps: list[Step] = []
    while True:
        now = judged(measure(done), question, law, num_draws, seed)
        enough = now is not None and is_enough(now, tolerance)
        choice, intervals = ({}, {}) if now is None else (now.choice, now.intervals)
        steps.append(Step(tuple(done), space.total(done), choice, intervals, enough))
        if enough or len(done) >= most or (point := _next(now, space, done, way, seed)) is None:
            return steps
        done.append(point)


def judged(table: Table, question: Question, law: Any, num_draws: int, seed: int) -> State | None:
    """Fit both corpora and ask; None where the runs are too few for the law."""
    try:
        return state(fits_of(table, law, num_draws, seed), question)
    except UserError:
        return None  # a law says itself how much more it needs; the design goes on with another spread-out run


def fits_of(table: Table, law: Any, num_draws: int, seed: int) -> dict[str, Fit]:
    """Corpus -> fit, without held-out refits."""
    known = table.domains if isinstance(table, Observations) else np.asarray(table["domain"]).tolist()
    domains = list(dict.fromkeys(known))
    options: dict[str, Any] = {"num_draws": num_draws, "seed": seed, "heldout": False}
    return {name: fit(law, table, domain=name, **options) for name in domains}


def _next(now: State | None, space: Space, done: list[Point], way: str, seed: int) -> Point | None:
    if now is None:
        more = [p for p in start(space, len(done) + 1) if p not in done]
        return more[0] if more else next(iter(space.candidates(done)), None)
    if way == "bisect":
        return bisect(now, space, done)
    return next((point for point, _ in following(now, space, done, seed=seed)), None)
