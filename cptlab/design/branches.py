"""Several token budgets from one run: rows of a constant-LR run, or cooldown branches off its trunk.

At a constant LR every evaluation along the longest run is a run of that many tokens. Of a schedule that cools down at
the end (WSD), the trunk is trained once at constant LR, and each budget D branches from it at (1 - decay) D: the
trunk's tokens are paid once, each budget its own decay (Hu et al. 2024, arXiv 2404.06395; Hagele et al. 2024,
arXiv 2405.18392). Any other schedule depends on its length from the first step, so nothing is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cptlab.design.space import Point


@dataclass(frozen=True)
class Trunk:
    """One run and what is taken from it.

    point: the longest run, at constant LR up to `tokens`. budgets: tokens of each branch, rising. starts: where each
    leaves the trunk; equal to budgets where it is only a row of it.
    """

    point: Point
    tokens: float
    budgets: tuple[float, ...]
    starts: tuple[float, ...]

    @property
    def flops(self) -> float:
        """Trunk once, every branch from where it starts [FLOP]."""
        tails = sum(end - begin for begin, end in zip(self.starts, self.budgets, strict=True))
        return 6.0 * self.point.num_params * (self.tokens + tails)

    @property
    def saved(self) -> float:
        """Against one run a budget [FLOP]."""
        return 6.0 * self.point.num_params * sum(self.budgets) - self.flops


def decay_share(schedule: Mapping[str, Any]) -> float | None:
    """Share of a run that its schedule decays: 0 of `constant`, of `wsd` its field; None where nothing can branch."""
    if schedule.get("variant") == "constant":
        return 0.0
    return float(schedule.get("decay_share", 0.0)) if schedule.get("variant") == "wsd" else None


def trunks(points: Sequence[Point], decay: float | None) -> list[Trunk]:
    """Group wanted points into trunks; each alone where the schedule allows no branch."""
    groups: list[list[Point]] = []
    for point in sorted(set(points)):
        group = next((g for g in groups if decay is not None and point.same_trunk(g[0])), None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return [_trunk(sorted(group, key=lambda p: p.tokens), decay or 0.0) for group in groups]


def _trunk(group: list[Point], decay: float) -> Trunk:
    budgets = tuple(point.tokens for point in group)
    starts = tuple((1 - decay) * tokens for tokens in budgets)
    return Trunk(group[-1], starts[-1], budgets, starts)
