"""Bounded Levenberg-Marquardt on the exact objective, all members of a batch at once.

Steps are taken in the coordinates of `Frame`, which undo the correlation of coefficients with their
exponents. Each round tries a reweighted and a Gauss-Newton step and keeps the better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cptlab.fitting.frame import Frame
from cptlab.fitting.objective import Problem, rows_of
from cptlab.laws.base import Array

TOLERANCE = 1e-13  # of the objective: what one parameter alone could still gain
FLOOR = 1e-22  # [1] objective that counts as a perfect fit, per unit of weight
PINS = 3  # solutions of one step
SMALL_GAIN = 1e-11  # relative gain of a round that counts as none
PATIENCE = 6  # such rounds in a row before a member may stop


@dataclass(frozen=True)
class Polished:
    """theta (B, p), objective (B,), converged (B,): no step gains any more; rounds taken."""

    theta: Array
    objective: Array
    converged: np.ndarray
    rounds: int


def polish(problem: Problem, theta: Array, weights: Array, rounds: int = 400) -> Polished:
    """Descend from theta (B, p) with weights (B, n) or (n,) until every member has converged."""
    with np.errstate(all="ignore"):
        return _polish(problem, np.clip(theta, problem.low, problem.high), weights, rounds)


def _polish(problem: Problem, theta: Array, weights: Array, rounds: int) -> Polished:
    members = len(theta)
    objective = problem.objective(theta, weights)
    damping = np.full((2, members), 1e-3)
    waited, converged = np.zeros(members, int), ~np.isfinite(objective)
    failed = converged.copy()
    floor = FLOOR * np.broadcast_to(weights, (members, len(problem.loss))).sum(axis=-1)
    frame, done = Frame.of(problem), 0
    while done < rounds and not converged.all():
        done += 1
        index = np.flatnonzero(~converged)
        current, w, before = theta[index], rows_of(weights, index), objective[index]
        equations = problem.normal_equations(current, w)
        trials, blocked, gain_left = _steps(frame, current, frame.holds_level(current), equations, damping[:, index])
        values = np.stack([problem.objective(trial, w) for trial in trials])
        better = values < before
        damping[:, index] = np.clip(np.where(better, damping[:, index] / 5, damping[:, index] * 4), 1e-12, 1e12)
        pick = np.argmin(values, axis=0)
        new, best = values.min(axis=0), trials[pick, np.arange(len(index))]
        if blocked.any():  # the constant met its bound: also try the step that leaves it there
            some = index[blocked]
            part = [e[blocked] for e in equations]
            extra = _steps(frame, theta[some], np.ones(len(some), bool), part, damping[:, some])[0][0]
            value = problem.objective(extra, rows_of(weights, some))
            gains = value < new[blocked]
            which = np.flatnonzero(blocked)[gains]
            new[which], best[which] = value[gains], extra[gains]
        improved = new < before
        theta[index[improved]], objective[index[improved]] = best[improved], new[improved]
        waited[index] = np.where(before - new > SMALL_GAIN * before, 0, waited[index] + 1)
        stuck = (waited[index] >= PATIENCE) & (damping[:, index].min(axis=0) > 1e2)
        vanished = gain_left <= np.maximum(TOLERANCE * before, floor[index])
        converged[index] = vanished | stuck | (waited[index] >= 4 * PATIENCE)
    return Polished(theta, objective, converged & ~failed, done)


def _steps(
    frame: Frame, theta: Array, held: np.ndarray, equations: Sequence[Array], damping: Array
) -> tuple[Array, np.ndarray, Array]:
    """Trials (2, B, p) of both curvatures, where blocked (B,), what one parameter could gain (B,)."""
    problem, place = frame.problem, frame.at(theta, held)
    gradient, *curvatures = place.pull_back(*equations)
    fixed = (theta <= problem.low) & (gradient > 0) | (theta >= problem.high) & (gradient < 0)
    fixed |= problem.low == problem.high
    diagonal = np.maximum(np.einsum("bpp->bp", curvatures[0]), 1e-300)
    steps = [
        place.step(_damped_step(curvature, diagonal, gradient, fixed, lam, *place.room()))
        for curvature, lam in zip(curvatures, damping, strict=True)
    ]
    blocked = steps[0][1] | steps[1][1]
    return (
        np.stack([s[0] for s in steps]),
        blocked,
        np.max(np.where(fixed, 0, gradient**2 / diagonal), axis=1),
    )


def _damped_step(
    curvature: Array,
    diagonal: Array,
    gradient: Array,
    fixed: np.ndarray,
    damping: Array,
    down: Array,
    up: Array,
) -> Array:
    """argmin g'd + d'(H + damping diag)d / 2 with `fixed` at rest, within down <= d <= up: (B, p).

    Parameters that would cross a bound are put there and the others solved again: PINS times, which suffices
    to descend.
    """
    scale = np.sqrt(diagonal)
    eye = np.eye(gradient.shape[1], dtype=bool)
    H = curvature / scale[:, :, None] / scale[:, None, :] + eye * (damping[:, None, None] + 1e-14)
    g, down, up = gradient / scale, down * scale, up * scale
    good = np.all(np.isfinite(H), axis=(1, 2)) & np.all(np.isfinite(g), axis=1)
    H, g = np.where(good[:, None, None], H, eye), np.where(good[:, None], g, 0)
    pinned, change = fixed, np.zeros_like(g)
    for _ in range(PINS):
        rest = np.where(pinned, change, 0)
        rhs = np.where(pinned, rest, -g - np.matmul(H, rest[..., None])[..., 0])
        either = pinned[:, :, None] | pinned[:, None, :]
        change = np.linalg.solve(np.where(either, eye, H), rhs[..., None])[..., 0]
        crossing = ~pinned & ((change < down) | (change > up))
        if not crossing.any():
            break
        pinned, change = pinned | crossing, np.clip(change, down, up)
    return change / scale
