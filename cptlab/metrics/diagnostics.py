"""`runs/<run_id>/diagnostics.jsonl`, what a run measured beside its losses -> numbers.

One line an evaluation, written by cptlab/training/diagnostics where `diagnostics.*` asked for it. Weight drift of a
block is |W - W_base| / |W_base| (Frobenius). Activation kurtosis is the fourth central moment over the squared second
one, of the features of a token after a block, mean over tokens: 3 for a Gaussian, near the width for one outlier
feature (Elhage et al. 2023, Privileged bases in the transformer residual stream).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError
from cptlab.metrics.alignment import Alignment
from cptlab.metrics.curves import RowLosses
from cptlab.metrics.measured import Measured

NAME = "diagnostics.jsonl"


@dataclass(frozen=True)
class Diagnostics:
    """The lines of one run by rising step."""

    lines: list[dict[str, Any]]

    @property
    def rows(self) -> dict[str, RowLosses]:
        """Losses of single evaluation rows by corpus; empty where they were not kept."""
        kept = [line for line in self.lines if "row_losses" in line]
        found = {}
        for corpus in kept[0]["row_losses"] if kept else ():
            own = [line["row_losses"][corpus] for line in kept]
            counts = np.array(own[0]["counts"], dtype=np.float64)
            found[corpus] = RowLosses([line["step"] for line in kept], np.array([one["sums"] for one in own]), counts)
        return found

    @property
    def drift(self) -> dict[str, dict[str, Measured]]:
        """part -> {relative, rms} at the last step; `all` weights last. Exact, so without standard error."""
        line = self._last("weight_drift")
        return drift(line["weight_drift"]) if line else {}

    @property
    def drift_curve(self) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
        """(parts, tokens (n,), relative drift (n, parts)) of every step that measured it."""
        lines = [line for line in self.lines if "weight_drift" in line]
        each = [drift(line["weight_drift"]) for line in lines]
        names = list(each[0]) if each else []
        values = [[one[name]["relative"].value for name in names] for one in each]
        return names, np.array([line["tokens_seen"] for line in lines], dtype=np.float64), np.array(values)

    @property
    def alignments(self) -> list[tuple[int, float, Alignment]]:
        """(step, tokens, alignment) of every step that measured gradients."""
        lines = [
            (line["step"], float(line["tokens_seen"]), line["gradients"]) for line in self.lines if "gradients" in line
        ]
        return [(step, tokens, Alignment(one["corpora"], np.array(one["gram"]))) for step, tokens, one in lines]

    @property
    def kurtosis(self) -> dict[str, list[Measured]]:
        """corpus -> kurtosis after each block at the last step."""
        line = self._last("kurtosis")
        return kurtosis(line["kurtosis"]) if line else {}

    @property
    def base_kurtosis(self) -> dict[str, list[Measured]]:
        """The same before the first update; empty where it was not measured."""
        first = next((line for line in self.lines if line["step"] == 0 and "kurtosis" in line), None)
        return kurtosis(first["kurtosis"]) if first else {}

    def _last(self, name: str) -> dict[str, Any] | None:
        return next((line for line in reversed(self.lines) if name in line), None)


def drift(parts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Measured]]:
    """part -> {change_sq, base_sq, numel} -> part -> {relative, rms of one weight's change}; with a part `all`."""
    total = {name: sum(part[name] for part in parts.values()) for name in ("change_sq", "base_sq", "numel")}
    found = {}
    for name, part in (*parts.items(), ("all", total)):
        relative = np.sqrt(part["change_sq"] / part["base_sq"]) if part["base_sq"] else np.nan
        rms = np.sqrt(part["change_sq"] / part["numel"])
        found[name] = {"relative": Measured(float(relative), "1"), "rms": Measured(float(rms), "1")}
    return found


def kurtosis(corpora: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[Measured]]:
    """corpus -> {mean, se}, each (blocks,) -> corpus -> numbers."""
    return {
        name: [Measured(value, "1", error) for value, error in zip(one["mean"], one["se"], strict=True)]
        for name, one in corpora.items()
    }


def read_diagnostics(folder: Path | str) -> Diagnostics | None:
    """Of a run folder, the last attempt of each step; None where nothing was measured. A cut last line is left out."""
    file = Path(folder) / NAME
    if not file.is_file():
        return None
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(file.read_text("utf8").splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            content = json.loads(line)
            step, attempt = content["step"], content["attempt"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{file}: line {number} is no line of diagnostics; remove it") from error
        if step not in found or attempt >= found[step]["attempt"]:
            found[step] = content
    return Diagnostics([found[step] for step in sorted(found)]) if found else None
