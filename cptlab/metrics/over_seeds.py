"""Runs of one setting under several seeds: means and differences with Student's t intervals over the seeds.

    mean ± t((1 + level) / 2, n - 1) s / sqrt(n),   s: standard deviation over the n seeds

Two settings are compared seed by seed, for runs of one seed read the same rows in the same order: the interval is that
of the differences. The base is the same in all of them, so nothing is said about other bases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError
from cptlab.metrics.measured import finite
from cptlab.metrics.of_run import RunMetrics, metrics_of
from cptlab.records.run_folders import load_run, run_folders

Array = NDArray[np.float64]
BySeed = Mapping[int, RunMetrics]


@dataclass(frozen=True)
class OverSeeds:
    """A mean over `seeds` seeds and its interval; NaN ends where there is one seed."""

    value: float
    low: float
    high: float
    seeds: int

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def to_json(self, digits: int = 4) -> dict[str, Any]:
        """{value, low, high, seeds}, rounded."""
        ends = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {name: None if x is None else round(x, digits) for name, x in ends.items()} | {"seeds": self.seeds}

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def t_interval(values: Array, level: float = 0.95) -> tuple[Array, Array, Array]:
    """Mean and the ends of its interval, each (...), of values (seeds, ...); NaN ends of one seed."""
    from scipy.special import stdtrit

    values = np.asarray(values, float)
    n, mean = len(values), values.mean(axis=0)
    if n < 2:
        return mean, mean * np.nan, mean * np.nan
    half = stdtrit(n - 1, (1 + level) / 2) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def over_seeds(values: Mapping[int, float], minus: Mapping[int, float] | None = None, level: float = 0.95) -> OverSeeds:
    """Mean of {seed: value}, or of its differences to another setting's. UserError if their seeds differ."""
    if minus is not None and set(minus) != set(values):
        raise UserError(f"seeds {sorted(values)} and {sorted(minus)} are compared seed by seed; train what is missing")
    each = [value - (minus[seed] if minus is not None else 0.0) for seed, value in sorted(values.items())]
    mean, low, high = t_interval(np.array(each), level)
    return OverSeeds(float(mean), float(low), float(high), len(each))


def error_bars(found: Sequence[OverSeeds | Mapping[str, Any]]) -> tuple[Array, Array]:
    """Values (n,) and their distances to the ends of the intervals (2, n), of means or of their to_json()."""
    rows = [vars(one) if isinstance(one, OverSeeds) else one for one in found]
    value, low, high = np.array([[row[end] for end in ("value", "low", "high")] for row in rows], float).T
    return value, np.array([value - low, high - value])


def by_setting(path: str, setting: Callable[[Mapping[str, Any]], Any]) -> dict[Any, dict[int, RunMetrics]]:
    """{setting: {seed: metrics}} of the finished runs under `path`; setting: configuration of a run -> its name.

    UserError for a run that is not finished, and for two runs of one setting and seed.
    """
    found: dict[Any, dict[int, RunMetrics]] = {}
    for folder in run_folders(path):
        run = load_run(folder)
        if run.done.get("status") != "finished":
            raise UserError(f"{folder} is not finished; train the rest of the study first")
        name, seed = setting(run.facts["config"]), int(run.facts["seed"])
        if seed in found.setdefault(name, {}):
            raise UserError(f"{folder} and {found[name][seed].run_id} are both {name} with seed {seed}; move one away")
        found[name][seed] = metrics_of(run)
    return found


def each(runs: BySeed, value: Callable[[RunMetrics], float]) -> dict[int, float]:
    """{seed: value of that run}."""
    return {seed: value(run) for seed, run in runs.items()}


def change(corpus: str) -> Callable[[RunMetrics], float]:
    """Last loss minus the base's of a corpus [nat/token]."""

    def of(run: RunMetrics) -> float:
        loss = run.curves[corpus].loss
        return float(loss[-1] - loss[0])

    return of


def mean_curve(runs: BySeed, corpus: str) -> tuple[Array, Array, Array, Array]:
    """Tokens, and mean, low and high of loss minus base loss over the seeds; each (evaluations after the base,)."""
    curves = [run.curves[corpus] for run in runs.values()]
    moved = np.array([curve.loss[1:] - curve.loss[0] for curve in curves])
    return curves[0].tokens[1:], *t_interval(moved)
