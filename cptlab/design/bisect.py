"""The other way to choose a run: measure the choice itself, then the farther end of its interval, then repeat.

No expectation over draws: a root is sought where the fits put it. It needs one chosen share and the question's own
size, and serves as the yardstick of `utility` (benchmarks/adaptive.py).
"""

from __future__ import annotations

from collections.abc import Collection

from cptlab.design.space import Point, Space
from cptlab.design.state import State

NEAR = 0.03  # a measured share nearer than this stands for the wanted one


def bisect(state: State, space: Space, done: Collection[Point]) -> Point | None:
    """The next run at the question's size and tokens; None where no candidate is left."""
    low, high = state.intervals.get("domain_share", (0.0, 1.0))
    chosen = state.choice.get("domain_share", (low + high) / 2)
    far, near = sorted((low, high), key=lambda end: -abs(end - chosen))
    n = min(space.sizes, key=lambda size: abs(size - state.case.num_params))
    d = min(space.tokens, key=lambda tokens: abs(tokens - state.case.tokens))
    measured = [p.share for p in done if (p.num_params, p.tokens) == (n, d)]
    wanted = next((x for x in (chosen, far, near) if all(abs(x - y) > NEAR for y in measured)), chosen)
    return space.nearest(Point(n, d, wanted), done)
