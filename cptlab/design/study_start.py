"""A study file as far as `cptlab next` reads it: where its runs lie, its law and question, and what its first runs are.

The file's points are checked where they are trained (`cptlab sweep --dry-run`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cptlab.design.space import Space, even_shares
from cptlab.design.start import start
from cptlab.errors import UserError

UNITS = {"k": 1e3, "m": 1e6, "b": 1e9}
SHARE = "mixture.domain_share"


@dataclass(frozen=True)
class StudyStart:
    """runs: folder of its records. options: overrides of fit_law.py. first: overrides of the first runs."""

    runs: Path
    options: tuple[str, ...]
    first: tuple[tuple[str, ...], ...]


def is_study(path: Path) -> bool:
    """A grid.yaml, or a folder that holds one."""
    return path.suffix in (".yaml", ".yml") or (path / "grid.yaml").is_file()


def read_study_start(path: Path, count: int) -> StudyStart:
    """UserError for a file that is no study."""
    file = path / "grid.yaml" if path.is_dir() else path
    try:
        content = yaml.safe_load(file.read_text("utf8"))
    except OSError as error:
        raise UserError(f"{file} does not exist; give a study folder, its grid.yaml, or a folder of runs") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} must be a mapping with fixed and axes")
    fixed, axes = dict(content.get("fixed") or {}), dict(content.get("axes") or {})
    if content.get("budgets"):
        axes["tokens"] = content["budgets"]
    options = [text for group in ("law", "question") for text in _options(group, content.get(group))]
    return StudyStart(Path(str(fixed.get("runs", "runs"))), tuple(options), tuple(_first(fixed, axes, count, file)))


def _options(group: str, value: Any) -> list[str]:
    if value is None:
        return []
    return [f"{key}={x}" for key, x in (value if isinstance(value, dict) else {group: value}).items()]


def _first(fixed: dict, axes: dict, count: int, file: Path) -> list[tuple[str, ...]]:
    """The start of the design: at the largest size and most tokens of the axes, shares spread in their logit."""
    if SHARE not in axes:
        raise UserError(f"{file}: axes has no {SHARE}, so there is no share to choose; `cptlab sweep` trains the grid")
    size_key = next((key for key in axes if key.startswith("model.")), None)
    sizes = [(_number(value), value) for value in axes.get(size_key, [])] if size_key else []
    size = max(sizes, key=lambda pair: pair[0], default=(1.0, None))
    budgets = [_number(value) for value in axes.get("tokens", [fixed.get("tokens", 1)])]
    within = [_number(value) for value in axes[SHARE]]
    shares = tuple(x for x in even_shares() if min(within) <= x <= max(within))
    points = start(Space((size[0],), (max(budgets),), shares), max(count, 3), size[0])
    common = [f"{key}={_text(value)}" for key, value in fixed.items() if key != "tokens"]
    chosen = [f"{size_key}={size[1]}"] if size_key else []
    if "tokens" in fixed or "tokens" in axes:
        chosen.append(f"tokens={max(budgets):.10g}")
    return [(*common, *chosen, f"{SHARE}={point.share:g}") for point in points]


def _number(value: Any) -> float:
    """12, `1e6`, `300k`."""
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)([kmb]?)", str(value).strip().lower())
    if match is None:
        raise UserError(f"{value!r} in the study's axes is no number; name sizes as 300k, 1m, or train the grid")
    return float(match[1]) * UNITS.get(match[2], 1.0)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
