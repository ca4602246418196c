"""A study's grid.yaml as a list of points; every point is a list of Hydra overrides.

name: quickstart
fixed: {tokens: 1e6}                       # overrides of every point
axes: {model.size: [30k, 100k], mixture.domain_share: [0, 0.5, 1]}   # all combinations, first axis slowest
points: [{model.size: 100k, seed: 1}]      # further points, each beside `fixed`
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from cptlab.errors import UserError, closest

KEYS = ("name", "fixed", "axes", "points")


@dataclass(frozen=True)
class Grid:
    """Points of a study, in the order in which they run."""

    name: str
    points: list[list[str]]


def read_grid(path: Path, extra: list[str]) -> Grid:
    """Read grid.yaml; `extra` overrides come last in every point. UserError for a malformed or repeating one."""
    file = path / "grid.yaml" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file} does not exist; give a study folder or its grid.yaml")
    try:
        content = yaml.safe_load(file.read_text("utf8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} must be a mapping with the keys {', '.join(KEYS)}")
    for key in content:
        if key not in KEYS:
            raise UserError(f"{file}: {key} is no key of a grid.{closest(str(key), KEYS)}")
    fixed, axes = content.get("fixed") or {}, content.get("axes") or {}
    points = content.get("points") or []
    if not isinstance(fixed, dict) or not isinstance(axes, dict):
        raise UserError(f"{file}: fixed and axes must be mappings of keys to values")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise UserError(f"{file}: points must be a list of mappings")
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{file}: axes.{name} must be a list of values")
    combinations = (
        [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    )
    points = [_overrides(fixed | point) + extra for point in [*combinations, *points]]
    if not points:
        raise UserError(f"{file} has no points; give axes or points")
    for point in points:
        if points.count(point) > 1:
            raise UserError(f"{file}: the point {' '.join(point)} is there twice")
    return Grid(content.get("name", file.parent.name), points)


def _overrides(point: dict) -> list[str]:
    return [f"{key}={_value(value)}" for key, value in point.items()]


def _value(value: object) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_value(entry)}" for key, entry in value.items()) + "}"
    text = str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[\w./+-]*", text)
    return text if plain else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
