"""Expected shrink of the decision's interval per FLOP, from the present fit's draws.

A draw is a possible truth. If draw j were true, a run at x would measure y = L_j(x) + e, and the draws k would weigh
w_k ~ exp(-sum over corpora (y - L_k(x))^2 / (2 s^2)); the interval under these weights, averaged over j, is what the
run is expected to leave (the knowledge gradient, with the interval's width for the gain). Nothing is refitted, so
hundreds of candidates take a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.design.space import Point, Space
from cptlab.design.state import State, scaled

Array = NDArray[np.float64]
TRUTHS = 48  # draws taken for the truth
BEYOND = 1e-9  # of the present width, below which a run is expected to tell nothing


@dataclass(frozen=True)
class Expected:
    """A next run: what it costs [FLOP], the width of the interval now and what is expected after it.

    Widths are summed over the chosen quantities: of shares as they are, of others in their logarithm. The second
    counts the runs chosen before it too.
    """

    point: Point
    flops: float
    width: float
    after: float

    @property
    def per_flop(self) -> float:
        """Shrink of the width per FLOP."""
        return (self.width - self.after) / self.flops


def choose(
    state: State, space: Space, done: Collection[Point], count: int = 1, budget: float = np.inf, seed: int = 0
) -> list[Expected]:
    """The `count` runs, one after the other, with the greatest expected shrink per FLOP within a budget [FLOP].

    Empty where no candidate is left, none is affordable, or none is expected to tell anything.
    """
    candidates = [point for point in space.candidates(done) if space.cost(point, done) <= budget]
    if not candidates or not len(state.kept):
        return []
    rng = np.random.default_rng(seed)
    truths = rng.choice(len(state.kept), min(TRUTHS, len(state.kept)), replace=False)
    apart = [_misses(state, candidates, role, truths, rng) for role in state.case.fits]
    misses = np.sum(apart, axis=0)
    known = np.zeros((len(truths), len(state.kept)))
    width = float(np.mean(widths(state, known)))
    found: list[Expected] = []
    taken, left, now = list(done), budget, width
    for _ in range(count):
        costs = np.array([space.cost(point, taken) for point in candidates])
        after = np.array([np.mean(widths(state, known + miss)) for miss in misses])
        useful = (costs > 0) & (costs <= left) & (now - after > BEYOND * width)
        gain = np.where(useful, (now - after) / np.where(useful, costs, 1.0), -np.inf)
        if not np.isfinite(gain).any():
            break
        best = int(np.argmax(gain))
        found.append(Expected(candidates[best], float(costs[best]), now, float(after[best])))
        taken.append(candidates[best])
        left, now, known = left - costs[best], float(after[best]), known + misses[best]
        misses[best] = 0  # a repeat would need a seed of its own
    return found


def widths(state: State, misses: Array) -> Array:
    """Width of the interval (j,) where the draws are weighed by exp(-misses (j, k))."""
    weights = np.exp(-(misses - misses.min(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    total = np.zeros(len(weights))
    tail = (1 - state.case.question.level) / 2
    for name, draws in state.draws.items():
        values = scaled(name, draws)
        order = np.argsort(values, kind="stable")
        below = np.cumsum(weights[:, order], axis=1) - weights[:, order] / 2
        for j, row in enumerate(below):
            low, high = np.interp([tail, 1 - tail], row, values[order])
            total[j] += high - low
    return total


def _misses(state: State, points: list[Point], role: str, truths: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Half squared distance (n, j, k), in the error of a run, of what draw k predicts from what truth j measures."""
    loss, error = state.outcome(points, role)
    z = (loss / error).T  # (n, k)
    measured = z[:, truths] + rng.standard_normal((len(points), len(truths)))
    return 0.5 * np.nan_to_num((measured[:, :, None] - z[:, None, :]) ** 2, nan=0.0, posinf=1e6)
