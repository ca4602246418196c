"""Areas under a learning-rate curve, the clocks of laws with LR inputs (arXiv 2408.11029, 2505.07796)."""

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError
from cptlab.schedules.base import Array, Schedule
from cptlab.units import LR_DROP_NAMES, LR_DROPS


def learning_rates(schedule: Schedule, peak_lr: float, tokens_per_step: int, tokens_total: int) -> Array:
    """LR of every optimizer step, (steps,); step i uses the clock after its tokens."""
    steps = tokens_total // tokens_per_step
    clock = np.arange(1, steps + 1, dtype=np.float64) * tokens_per_step
    return peak_lr * schedule.factor(clock, tokens_total)


def lr_area(rates: Array) -> Array:
    """S1 after each step: sum of the LRs so far, raw LR units, (steps,) -> (steps,)."""
    return np.cumsum(rates)


def anneal_area(rates: Array, decay: float = 0.999) -> Array:
    """S2 after each step: sum_i sum_{k<=i} (lr_{k-1} - lr_k) decay^(i-k), rising increments left out.

    rates: (steps,), raw LR units; decay: lambda in (0, 1). Returns (steps,).
    """
    check_decay("decay", decay)
    drops = np.maximum(-np.diff(rates, prepend=rates[:1]), 0.0)
    momentum = np.empty_like(drops)
    memory = 0.0
    for i, drop in enumerate(drops.tolist()):
        memory = decay * memory + drop
        momentum[i] = memory
    return np.cumsum(momentum)


def check_decay(name: str, decay: float) -> None:
    """UserError unless lambda, the memory of the annealing area from step to step, lies in (0, 1)."""
    if not 0 < decay < 1:
        raise UserError(f"{name} is {decay}; lambda, the memory of the annealing area, must lie between 0 and 1")


def loss_potential(rates: Array, peak_lr: float) -> float:
    """Final LR over peak LR, in [0, 1]: what a base has left to anneal (arXiv 2505.07796). rates: (steps,)."""
    return float(rates[-1] / peak_lr)


FALLS = 2 * LR_DROPS // 3  # nodes of decreases; the others are of rises


def lr_drops(rates: Array, steps: NDArray[np.int_]) -> dict[str, Array]:
    """How the LR changed before each row: the history that `multi_power` reads, as columns of `cptlab.units`.

    rates: (total,) LR of every optimizer step of the run. steps: (n,) updates made up to each row, 1 to total.
    Returns LR_DROPS columns each of decreases (rises below 0), LRs just after them and areas since, (n,).

    A law that sums g(area since the change) over all changes needs them one by one. As g is smooth in the
    logarithm of their age, ages are cut into even parts of that logarithm, decreases and rises apart, and each
    part is kept as two nodes, its mean area -+ its standard deviation, with half of the change each. Mean,
    variance and covariance with the LR are exact, and a single drop is exact altogether; on the curves of arXiv
    2503.12811 the loss so summed is within 1e-4 nat of the full sum, where only decreases are summed 2e-5.
    """
    below = np.concatenate([[0.0], np.cumsum(rates)])
    decrease = -np.diff(rates, prepend=0.0)
    nodes = np.zeros((3, LR_DROPS, len(steps)))
    for columns, at in (
        (slice(None, FALLS), np.flatnonzero(decrease > 0)),
        (slice(FALLS, None), np.flatnonzero(decrease < 0)),
    ):
        for row, now in enumerate(np.asarray(steps, int).tolist()):
            if len(k := at[at < now]):
                parts = nodes[:, columns].shape[1] // 2
                part = np.minimum((np.log(now - k) / np.log(now + 1) * parts).astype(int), parts - 1)
                nodes[:, columns, row] = _two_nodes(decrease[k], rates[k], below[now] - below[k], part, parts)
    return {name: nodes[j, i] for i, names in enumerate(LR_DROP_NAMES) for j, name in enumerate(names)}


def _two_nodes(change: Array, rate: Array, area: Array, part: NDArray[np.int_], parts: int) -> Array:
    """Change, rate and area of two nodes a part, (3, 2 parts), with the moments of its changes, all (m,)."""

    def mean(x: Array) -> Array:
        return np.bincount(part, change * x, parts) / np.where(total == 0, 1, total)

    total = np.bincount(part, change, parts)
    middle, rate_middle = mean(area), mean(rate)
    spread = np.sqrt(np.maximum(mean((area - middle[part]) ** 2), 0))
    tilt = mean((area - middle[part]) * (rate - rate_middle[part])) / np.where(spread > 0, spread, 1)
    left, right = (
        np.stack([total / 2, np.maximum(rate_middle + side * tilt, 0), np.maximum(middle + side * spread, 0)])
        for side in (-1, 1)
    )
    return np.concatenate([left, right], axis=1)
