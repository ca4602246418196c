"""Runs that cannot matter: their share is chosen by no draw, and what they still measure moves no draw's choice.

A running point is judged like a candidate (`utility`): what its end is expected to take off the interval, against what
its remaining tokens cost. It may stop where that is less than a part of what the best new run gives for its FLOPs, and
where its share lies outside the interval by more than the interval's own width, so that the law's shape, which a far
run does tell, is told by others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cptlab.design.space import Point, Space
from cptlab.design.state import State
from cptlab.design.utility import choose

PART = 0.1  # of the best new run's shrink per FLOP


def cannot_matter(state: State, space: Space, running: Mapping[Point, float]) -> list[Point]:
    """Running points that may be stopped. running: point -> tokens trained so far.

    Points of another size, or where the question chooses more than a share, are never stopped.
    """
    if set(state.draws) != {"domain_share"} or not running:
        return []
    low, high = state.intervals["domain_share"]
    far = [p for p in running if p.share < low - (high - low) or p.share > high + (high - low)]
    far = [p for p in far if np.isclose(p.num_params, state.case.num_params, rtol=1e-3)]
    best = choose(state, space, list(running))
    if not far or not best:
        return []
    stopped = []
    for point in far:
        only = Space(space.sizes, space.tokens, space.shares, only=frozenset([point]))
        own = choose(state, only, [Point(point.num_params, running[point], point.share, point.seed)])
        if not own or own[0].per_flop < PART * best[0].per_flop:
            stopped.append(point)
    return stopped
