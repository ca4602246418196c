"""Is the adapted model better than the base on a task? Paired bootstrap over its items: win, tie or loss.

Both models answer the same items, so items are resampled with both scores together (Efron & Tibshirani 1993, ch. 13;
Koehn 2004 for two systems on one test set). A task is a win where the interval of the mean gain lies above 0, a loss
where it lies below, else a tie. Each task stands alone: of 20 tasks without any difference one differs at level .95.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CHUNK = 4_000_000  # random counts drawn at a time
WIN, TIE, LOSS = "win", "tie", "loss"


@dataclass(frozen=True)
class Verdict:
    """One task. base, adapted: mean scores; gain: adapted - base, turned so that above 0 is better; low, high: its
    interval at `level`; p: two-sided, share of resampled gains on the other side of 0, doubled, at most 1.
    """

    task: str
    items: int
    base: float
    adapted: float
    gain: float
    gain_se: float
    low: float
    high: float
    p: float
    verdict: str
    level: float
    higher_is_better: bool

    def to_json(self) -> dict[str, Any]:
        """Every field; scores in the unit of the task's metric."""
        return asdict(self)


def resampled_means(values: Array, num_draws: int, rng: np.random.Generator) -> Array:
    """Means of num_draws bootstrap samples of values (n,), (num_draws,).

    Only how often each distinct value is drawn matters, so right-or-wrong scores cost three numbers a draw.
    """
    distinct, counts = np.unique(values, return_counts=True)
    n, step = len(values), max(1, CHUNK // len(distinct))
    means = [
        rng.multinomial(n, counts / n, size=min(step, num_draws - start)) @ distinct / n
        for start in range(0, num_draws, step)
    ]
    return np.concatenate(means)


def paired_bootstrap(
    task: str, base: Array, adapted: Array, *, higher_is_better: bool = True, level: float = 0.95,
    num_draws: int = 10_000, seed: int = 0,
) -> Verdict:  # fmt: skip
    """base, adapted: scores of the same items in the same order, (n,)."""
    gains = (adapted - base) * (1 if higher_is_better else -1)
    means = resampled_means(gains, num_draws, np.random.default_rng(seed))
    low, high = (float(end) for end in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))
    p = min(1.0, 2 * min(float(np.mean(means <= 0)), float(np.mean(means >= 0))))
    return Verdict(
        task, len(gains), float(base.mean()), float(adapted.mean()), float(gains.mean()), float(means.std()), low, high,
        max(p, 1 / num_draws), WIN if low > 0 else LOSS if high < 0 else TIE, level, higher_is_better,
    )  # fmt: skip


def compare_tasks(
    base: Mapping[str, Mapping[str, float]], adapted: Mapping[str, Mapping[str, float]],
    lower_is_better: Sequence[str] = (), level: float = 0.95, num_draws: int = 10_000, seed: int = 0,
) -> list[Verdict]:  # fmt: skip
    """Verdicts by task; base and adapted: task -> item -> score, of the same tasks and items."""
    found = []
    for number, (task, scores) in enumerate(base.items()):
        items = list(scores)
        one, other = (np.array([side[item] for item in items], np.float64) for side in (scores, adapted[task]))
        found.append(
            paired_bootstrap(
                task, one, other, higher_is_better=task not in lower_is_better, level=level, num_draws=num_draws,
                seed=seed + number,
            )
        )  # fmt: skip
    return found


def tally(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """{win, tie, loss: tasks}."""
    return {name: sum(one.verdict == name for one in verdicts) for name in (WIN, TIE, LOSS)}
