"""What can be run next, and what it costs: a point of (size, tokens, share, seed) and the space of them.

Cost is C = 6 N D [FLOP], the convention of the laws. A size whose base is not trained yet costs its base once, and of
one constant-LR run every shorter budget is a row that costs nothing (`branches`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError

SAME_SHARE = 0.005  # shares nearer than this are one


@dataclass(frozen=True, order=True)
class Point:
    """One run: num_params N without embeddings, tokens D, share of the new domain in [0, 1], seed."""

    num_params: float
    tokens: float
    share: float
    seed: int = 0

    @property
    def flops(self) -> float:
        """6 N D [FLOP]."""
        return 6.0 * self.num_params * self.tokens

    def same_trunk(self, other: Point) -> bool:
        """Whether both are one run, of different lengths where the LR is constant."""
        near = abs(self.share - other.share) < SAME_SHARE
        return near and self.num_params == other.num_params and self.seed == other.seed


@dataclass(frozen=True)
class Space:
    """The points that can be chosen.

    sizes [parameter], tokens [token], shares: rising values; each combination is a candidate. seeds: how many repeats
    of one point there may be. base_flops: size -> FLOPs of a base that is still to be trained; sizes that are not named
    have one. only: if given, the recorded points, and nothing else can be chosen (a replay).
    """

    sizes: tuple[float, ...]
    tokens: tuple[float, ...]
    shares: tuple[float, ...]
    seeds: int = 8
    base_flops: Mapping[float, float] = field(default_factory=dict)
    only: frozenset[Point] | None = None

    def __post_init__(self) -> None:
        for name in ("sizes", "tokens", "shares"):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)):
                raise UserError(f"design: {name} are {list(values)}; give one or more different values, rising")
        if not 0 <= self.shares[0] <= self.shares[-1] <= 1:
            ends = f"{self.shares[0]:g} to {self.shares[-1]:g}"
            raise UserError(f"design: shares lie from {ends}; they must lie in [0, 1]")

    def cost(self, point: Point, done: Collection[Point]) -> float:
        """What a run adds [FLOP]: its own, less a trunk of it that is there, and a base that no other run paid."""
        trunk = max((other.tokens for other in done if point.same_trunk(other)), default=0.0)
        own = 6.0 * point.num_params * max(point.tokens - trunk, 0.0)
        paid = any(other.num_params == point.num_params for other in done)
        return own + (0.0 if paid else self.base_flops.get(point.num_params, 0.0))

    def total(self, points: Collection[Point]) -> float:
        """What all of them cost, in whatever order they are run [FLOP]."""
        done: list[Point] = []
        flops = 0.0
        for point in sorted(points):
            flops += self.cost(point, done)
            done.append(point)
        return flops

    def candidates(self, done: Collection[Point]) -> list[Point]:
        """Every point that is not done, each with the first seed that is free."""
        if self.only is not None:
            return sorted(self.only - set(done))
        found = []
        for n in self.sizes:
            for d in self.tokens:
                for share in self.shares:
                    taken = {p.seed for p in done if p.same_trunk(Point(n, d, share, p.seed)) and p.tokens >= d}
                    free = next((seed for seed in range(self.seeds) if seed not in taken), None)
                    if free is not None:
                        found.append(Point(n, d, share, free))
        return found

    def nearest(self, wanted: Point, done: Collection[Point]) -> Point | None:
        """The candidate of that size and those tokens whose share is nearest; a repeat counts as a little farther."""
        same = [p for p in self.candidates(done) if (p.num_params, p.tokens) == (wanted.num_params, wanted.tokens)]
        measured = {round(p.share, 3) for p in done if p.num_params == wanted.num_params}
        return min(
            same,
            key=lambda p: (abs(p.share - wanted.share) + SAME_SHARE * (round(p.share, 3) in measured), p.seed),
            default=None,
        )


def even_shares(step: float = 0.02) -> tuple[float, ...]:
    """0, step, ..., 1."""
    return tuple(float(x) for x in np.round(np.linspace(0, 1, round(1 / step) + 1), 4))
