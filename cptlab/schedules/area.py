"""Areas under a learning-rate curve, the clocks of laws with LR inputs (arXiv 2408.11029, 2505.07796)."""

import numpy as np

from cptlab.schedules.base import Array, Schedule


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
    drops = np.maximum(-np.diff(rates, prepend=rates[:1]), 0.0)
    momentum = np.empty_like(drops)
    memory = 0.0
    for i, drop in enumerate(drops.tolist()):
        memory = decay * memory + drop
        momentum[i] = memory
    return np.cumsum(momentum)
