"""Axes, budgets, seeds, points and exclusions of a study file -> the list of its points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cptlab.errors import UserError
from cptlab.sweeps.crossing import refuse_crossing
from cptlab.sweeps.values import overrides

PARTS = ("fixed", "axes", "budgets", "seeds", "points", "exclude")
AXIS_OF = {"budgets": "tokens", "seeds": "seed"}


def expand_grid(content: Mapping[str, Any], file: Path, extra: list[str]) -> list[list[str]]:
    """Every point as a list of overrides, `extra` last. UserError for a malformed or repeating one."""
    fixed, axes = (content.get(part) or {} for part in ("fixed", "axes"))
    listed, exclude = (content.get(part) or [] for part in ("points", "exclude"))
    if not isinstance(fixed, dict) or not isinstance(axes, dict):
        raise UserError(f"{file}: fixed and axes must be mappings of keys to values")
    for part, entries in (("points", listed), ("exclude", exclude)):
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and entry for entry in entries):
            raise UserError(f"{file}: {part} must be a list of mappings, each of one key or more")
    axes, seeds = dict(axes), content.get("seeds")
    for part, axis in AXIS_OF.items():
        if content.get(part) is None:
            continue
        if axis in axes or axis in fixed:
            raise UserError(f"{file}: {part} are an axis of {axis}, which axes or fixed name already; drop one")
        if not isinstance(content[part], list) or not content[part]:
            raise UserError(f"{file}: {part} must be a list of values")
    if content.get("budgets"):
        axes["tokens"] = content["budgets"]
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{file}: axes.{name} must be a list of values")
        if name in fixed:
            raise UserError(f"{file}: {name} is an axis and fixed; drop one")
    refuse_crossing(axes, fixed, file)
    alone: list[dict] = [{}] if seeds and not listed else []
    combined = [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())] if axes else alone
    seeded = [
        point | more
        for point in [*combined, *listed]
        for more in ([{"seed": seed} for seed in seeds] if seeds and "seed" not in point else [{}])
    ]
    points = _left([fixed | point for point in seeded], exclude, file)
    if not points:
        raise UserError(f"{file} has no points; give axes or points")
    refuse_repeated(points, fixed, file)
    return [overrides(point) + extra for point in points]


def refuse_repeated(points: list[dict], fixed: Mapping[str, Any], file: Path) -> None:
    """UserError for a point that is there again, its keys in whatever order and its numbers however written."""
    first: dict[frozenset, int] = {}
    for number, point in enumerate(points, 1):
        content = frozenset((key, _plain(value)) for key, value in point.items())
        if (before := first.setdefault(content, number)) != number:
            own = {key: value for key, value in point.items() if key not in fixed or fixed[key] != value} or point
            raise UserError(
                f"{file}: points {before} and {number} of {len(points)} are the same ({' '.join(overrides(own))}); drop"
                " one from axes or points"
            )


def _plain(value: object) -> object:
    """A number for what reads as one, else its text: 1e5 (text in YAML 1.1) and 100000 are one value."""
    number = _number(value)
    return repr(value) if number is None else number


def _left(points: list[dict], exclude: list[dict], file: Path) -> list[dict]:
    """Points that no exclusion matches; each must match some."""
    for entry in exclude:
        if not any(_matches(point, entry) for point in points):
            raise UserError(f"{file}: exclude {' '.join(overrides(entry))} matches no point; mend or drop it")
    return [point for point in points if not any(_matches(point, entry) for entry in exclude)]


def _matches(point: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(key in point and _equal(point[key], wanted) for key, wanted in entry.items())


def _equal(value: object, wanted: object) -> bool:
    """A list stands for any of its values; 1e6 (text in YAML 1.1) and 1000000 are one value."""
    if isinstance(wanted, list) and not isinstance(value, list):
        return any(_equal(value, each) for each in wanted)
    return value == wanted or _number(value) == _number(wanted) is not None


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
