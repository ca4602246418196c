"""The first runs, before any fit: spread over logit share, log N and log D, so that no two tell the same.

Shares lie in the middles of equal parts of the logit: losses bend most where a corpus runs out. Sizes and tokens take
the next values of a low-discrepancy sequence (van der Corput, bases 2 and 3), so that any first k of them are spread.
"""

from __future__ import annotations

import numpy as np

from cptlab.decisions.kriging import expit, logit
from cptlab.design.space import Point, Space
from cptlab.errors import UserError

NEEDED = 3  # shares, of which a law can tell a curve
INSIDE = 0.05  # the outermost share of a start at least: at 0 and 1 a corpus is not seen at all, which is a case apart


def start(space: Space, count: int = NEEDED, num_params: float | None = None) -> list[Point]:
    """`count` points with different shares, middle first, all seed 0.

    num_params: the size of the question. If it can be run, the start is there: neighbours in size tell a shape, but
    not the effect that a base model has of its own. Else the start spreads over the sizes that can.
    """
    if count < NEEDED:
        raise UserError(f"design: a start of {count} runs tells no curve; take {NEEDED} or more")
    shares = spread_shares(count, space.shares)
    asked = [n for n in space.sizes if num_params is not None and np.isclose(n, num_params, rtol=1e-3)]
    sizes = asked or space.sizes
    done: list[Point] = []
    for i, share in enumerate(shares):
        n = sizes[int(van_der_corput(i, 2) * len(sizes))]
        d = space.tokens[-1] if asked else space.tokens[::-1][int(van_der_corput(i, 3) * len(space.tokens))]
        if (found := space.nearest(Point(n, d, share), done)) is not None:
            done.append(found)
    return done


def spread_shares(count: int, shares: tuple[float, ...]) -> list[float]:
    """Middles of `count` equal parts of the logit, each at the nearest share there is; the middle one first."""
    ends = logit(np.array([max(shares[0], INSIDE), min(shares[-1], 1 - INSIDE)]))
    wanted = expit(ends[0] + (ends[1] - ends[0]) * (np.arange(count) + 0.5) / count)
    found = {min(shares, key=lambda share: abs(share - x)) for x in wanted}
    return sorted(found, key=lambda share: (abs(share - 0.5), share))


def van_der_corput(index: int, base: int) -> float:
    """The index's digits mirrored at the point: 0, 1/2, 1/4, 3/4, ... for base 2, in [0, 1)."""
    value, scale = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * scale
        scale /= base
    return value
