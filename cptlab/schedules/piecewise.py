"""A drawn schedule: straight lines between points, from a file or from the configuration."""

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.schedules.base import Array, Schedule
from cptlab.variants import variant

UNITS = ("tokens", "share")


@variant("lr_schedule")
@dataclass(kw_only=True)
class Piecewise(Schedule):
    """LR/peak through given points, straight between them. The points hold the warm-up, too.

    path: CSV file with the columns `tokens` (or `share`, of the run's tokens) and `factor`, LR over peak LR: from 0
        tokens on, rising, up to the end of the run or beyond; the highest factor is 1. The record keeps the points.
    points, unit: used where path is "": [[0, 0], [0.1, 1], [1, 0]] with unit=share.
    """

    path: str = ""
    points: Any = None  # list of [tokens or share, factor]; a file goes before them
    unit: str = "tokens"  # of `points`: tokens or share; a file's header says its own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_tokens:
            raise UserError(
                f"lr_schedule.warmup_tokens is {self.warmup_tokens:g}, but lr_schedule=piecewise draws its own warm-up;"
                " set warmup_tokens to 0 and give the rise as points"
            )
        if not self.path and self.points is None:
            raise UserError(
                "lr_schedule=piecewise needs lr_schedule.path=FILE or lr_schedule.points=[[0, 1], [1e6, 0]]"
            )
        if self.unit not in UNITS:
            raise UserError(f"lr_schedule.unit is {self.unit}.{closest(self.unit, UNITS)}")
        self._unit, drawn = _read(Path(self.path)) if self.path else (self.unit, _pairs(self.points))
        _check_points(self._where, self._unit, drawn)
        self._points = drawn

    @property
    def is_constant(self) -> bool:
        """True if all factors are 1."""
        return all(factor == 1 for _, factor in self._points)

    @property
    def _where(self) -> str:
        return f"lr_schedule.path: {self.path}" if self.path else "lr_schedule.points"

    def identity(self) -> dict[str, Any]:
        """The points, wherever they came from."""
        return {"variant": "piecewise", "points": [list(point) for point in self._points], "unit": self._unit}

    def check(self, tokens_total: float) -> None:
        """UserError if the points end before the run does."""
        super().check(tokens_total)
        last, end = self._points[-1][0], tokens_total if self._unit == "tokens" else 1.0
        if last < end * (1 - 1e-9):
            raise UserError(
                f"{self._where} ends at {self._unit} {last:g}, the run at {end:g}; add a point there or beyond"
            )

    def shape(self, tokens: Array, tokens_total: float) -> Array:
        """Straight lines between the points."""
        at, factor = np.array(self._points).T
        return np.interp(tokens if self._unit == "tokens" else tokens / tokens_total, at, factor)


def _read(file: Path) -> tuple[str, list[tuple[float, float]]]:
    """(unit, points) of a CSV file."""
    try:
        lines = [line for line in csv.reader(file.read_text("utf8").splitlines()) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"lr_schedule.path: {file} cannot be read ({type(error).__name__}); give a CSV file with the columns"
            " tokens,factor"
        ) from error
    header = [name.strip() for name in lines[0]] if lines else []
    unit = next((name for name in UNITS if name in header), "")
    if len(header) != 2 or not unit or "factor" not in header:
        raise UserError(
            f"lr_schedule.path: {file} opens with {','.join(header) or 'nothing'}; its first line must be"
            " tokens,factor or share,factor"
        )
    order = [header.index(unit), header.index("factor")]
    points = []
    for number, line in enumerate(lines[1:], 2):
        try:
            x, factor = (float(line[i]) for i in order)
        except (ValueError, IndexError):
            raise UserError(f"lr_schedule.path: line {number} of {file} is {','.join(line)}, no two numbers") from None
        points.append((x, factor))
    return unit, points


def _pairs(points: Any) -> list[tuple[float, float]]:
    try:
        return [(float(x), float(factor)) for x, factor in points]
    except (TypeError, ValueError):
        raise UserError(f"lr_schedule.points is {points!r}; it must be a list of pairs [[0, 1], [1e6, 0.1]]") from None


def _check_points(where: str, unit: str, points: list[tuple[float, float]]) -> None:
    """UserError unless the points begin at 0, rise, and have factors in [0, 1] that reach 1."""
    at, factors = [x for x, _ in points], [factor for _, factor in points]
    if len(points) < 2 or at[0] != 0:
        raise UserError(f"{where} must hold two points or more, the first at {unit} 0")
    for before, now in pairwise(at):
        if not before < now < np.inf:
            raise UserError(
                f"{where} is not sorted: {unit} {now:g} follows {before:g}; sort its rows, each {unit} once"
            )
    if wrong := [factor for factor in factors if not 0 <= factor <= 1]:
        raise UserError(f"{where} has the factor {wrong[0]:g}; LR over peak LR must lie in [0, 1]")
    if max(factors) < 1:
        raise UserError(
            f"{where} never reaches 1 (its highest factor is {max(factors):g}); divide the factors by it and multiply"
            " optimizer.peak_lr by it, so that peak_lr is the peak"
        )
