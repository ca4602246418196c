"""W&B's own search engine, the package `sweeps`, without a server: what to try next, what to end early.

The package asks for numpy < 2 and works with numpy 2: `pip install --no-deps sweeps` (docs/wandb.md). It gives
numpy's own scalars, which are turned into Python's here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cptlab.errors import UserError

RUNNING, FINISHED, FAILED = "running", "finished", "failed"


@dataclass
class Trial:
    """One run that the engine proposed. history: the metric of each evaluation so far [nat/token]."""

    number: int
    values: dict[str, Any]
    state: str = RUNNING
    history: list[float] = field(default_factory=list)


class Engine:
    """spec: a sweep as `wandb sweep` reads it."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.sweeps, self.cap = _package(), spec.get("run_cap", 0)
        # Of its schema it takes no more than these.
        self.config = {
            name: spec[name] for name in ("method", "metric", "parameters", "early_terminate") if name in spec
        }
        self.metric = spec.get("metric", {}).get("name", "")

    def propose(self, trials: Sequence[Trial]) -> dict[str, Any] | None:
        """Values of the next run by key; None when there is none left."""
        if self.cap and len(trials) >= self.cap:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a Gaussian process of two points warns of its own uncertainty
            found = self.sweeps.next_run(self.config, self._runs(trials))
        return {key: _python(entry["value"]) for key, entry in found.config.items()} if found else None

    def hopeless(self, trials: Sequence[Trial]) -> list[Trial]:
        """Running trials that the early end takes out; [] without one."""
        if "early_terminate" not in self.config:
            return []
        stopped = self.sweeps.stop_runs(self.config, self._runs(trials))
        names = {run.name for run in stopped}
        return [trial for trial in trials if str(trial.number) in names and trial.state == RUNNING]

    def _runs(self, trials: Sequence[Trial]) -> list[Any]:
        return [
            self.sweeps.SweepRun(
                name=str(trial.number),
                config={key: {"value": value} for key, value in trial.values.items()},
                state=getattr(self.sweeps.RunState, trial.state),
                history=[{self.metric: value} for value in trial.history] if self.metric else [],
                summary_metrics={self.metric: trial.history[-1]} if trial.history and self.metric else {},
            )
            for trial in trials
        ]


def _package() -> Any:
    """W&B's `sweeps`. UserError if there is none, or only something else of that name."""
    why = "there is a package of that name which is not W&B's"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks to an older pydantic
        try:
            import sweeps  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            sweeps, why = None, str(error)
    if not hasattr(sweeps, "next_run"):
        raise UserError(
            f"W&B's search engine, the package sweeps, is not installed ({why}); pip install 'cptlab[wandb_engine]',"
            " then pip install --no-deps sweeps==0.3.0"
        )
    return sweeps


def _python(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
