"""The file that `wandb sweep` reads: flat dotted keys, and a command whose arguments Hydra reads as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptlab.errors import UserError, closest
from cptlab.launch import CONF
from cptlab.sweeps.wandb.blocks import Block, plain

METHODS = ("grid", "random", "bayes")
ETA = 3  # hyperband keeps one of ETA runs in each band


@dataclass(frozen=True)
class Search:
    """How W&B is to choose.

    metric: key of the history, e.g. loss/fit/code, that bayes and hyperband make small; hyperband: evaluations before
    the first band, 0 = no early end; between: keys drawn from the range of their values, of these `log` on a
    logarithmic scale; runs: of random and bayes, 0 = until stopped.
    """

    method: str = "grid"
    metric: str = ""
    hyperband: int = 0
    between: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    runs: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"--method is {self.method}.{closest(self.method, METHODS)}")
        if self.method == "grid" and (self.between or self.log or self.runs):
            raise UserError("--between, --log and --runs belong to --method random or bayes; a grid is its points")
        if self.hyperband < 0 or self.runs < 0:
            raise UserError("--hyperband and --runs must be 0 or more")

    def check(self, corpora: Sequence[str]) -> None:
        """UserError unless the metric is one that a run of these corpora logs."""
        known = [f"loss/fit/{name}" for name in corpora]
        if self.metric and self.metric not in known:
            raise UserError(f"--metric {self.metric} is not logged.{closest(self.metric, known)}")
        if not self.metric and (self.hyperband or self.method == "bayes"):
            needing = "--hyperband" if self.hyperband else "--method bayes"
            raise UserError(f"{needing} needs --metric, the loss to make small: {', '.join(known)}")

    @property
    def follows_points(self) -> bool:
        """Whether every point of the study is to be finished."""
        return self.method == "grid" and not self.hyperband


def spec(name: str, block: Block, search: Search) -> dict[str, Any]:
    """The sweep as a mapping, ready for YAML."""
    for key in (*search.between, *search.log):
        if key not in block:
            raise UserError(f"{key} is no key of the study.{closest(key, block)}")
    content: dict[str, Any] = {
        "name": name,
        "method": search.method,
        "program": program(),
        "command": [sys.executable, program(), "${args_no_hyphens}"],
        "parameters": {key: _parameter(key, values, search) for key, values in block.items()},
    }
    if search.metric:
        content["metric"] = {"name": search.metric, "goal": "minimize"}
    if search.hyperband:
        content["early_terminate"] = {"type": "hyperband", "min_iter": search.hyperband, "eta": ETA}
    if search.runs:
        content["run_cap"] = search.runs
    return content


def _parameter(key: str, texts: tuple[str, ...], search: Search) -> dict[str, Any]:
    values = [plain(text) for text in texts]
    if key not in (*search.between, *search.log):
        return {"value": values[0]} if len(values) == 1 else {"values": values}
    numbers = [value for value in values if not isinstance(value, str)]
    low, high = (min(numbers), max(numbers)) if len(numbers) == len(values) else (0, 0)
    if low >= high:
        raise UserError(f"{key} has no range to draw from (its values: {', '.join(texts)}); give two numbers or more")
    if key in search.log and low <= 0:
        raise UserError(f"{key} reaches down to {low:g}; a logarithmic scale needs values above 0")
    if key in search.log:
        return {"distribution": "log_uniform_values", "min": float(low), "max": float(high)}
    whole = all(isinstance(value, int) for value in values)
    return {"distribution": "int_uniform" if whole else "uniform", "min": low, "max": high}


def program() -> str:
    """train.py as seen from here: short in the checkout, so that agents on other machines find theirs."""
    file = CONF.parent / "train.py"
    return "train.py" if Path.cwd() == file.parent else os.fspath(file)
