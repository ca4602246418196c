"""What the fitted laws predict at points that a user names: no choice, only intervals."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.decisions.bands import band
from cptlab.decisions.case import Case
from cptlab.decisions.choice import abstain, base_losses
from cptlab.decisions.doubts import unconverged
from cptlab.decisions.extrapolation import extrapolation, range_doubts
from cptlab.decisions.held_out import held_out_doubts, held_out_sentence
from cptlab.decisions.question import Question
from cptlab.decisions.recommendation import Recommendation
from cptlab.errors import UserError, closest
from cptlab.units import QUANTITIES
from cptlab.variants import variant


@variant("question")
@dataclass(kw_only=True)
class WhatIf(Question):
    """Predicted losses, with intervals, at a list of points.

    points: one mapping a point, column -> value (`domain_share`, `num_params`, `tokens`, any input of the law); what a
        point leaves out is as the question has it.
    path: a CSV file with these columns instead, one row a point.
    """

    points: Any = None
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.points = [] if self.points is None else list(self.points) if not isinstance(self.points, Mapping) else None
        if self.points is None or not all(isinstance(point, Mapping) for point in self.points):
            raise UserError('question.points is no list of points; write it as "question.points=[{domain_share: 0.3}]"')
        if bool(self.points) == bool(self.path):
            raise UserError("question=what_if needs points: give either question.points or question.path, a CSV file")
        self.points = [dict(point) for point in self.points]

    @property
    def needs_general(self) -> bool:
        """It limits nothing."""
        return False

    def answer(self, case: Case, sizes: Mapping[float, str]) -> Recommendation:
        """A table of predictions; `run` where nothing speaks against them."""
        points = [_checked(point, i, case) for i, point in enumerate(self.points or _read(self.path), 1)]
        rows, sentences, reasons, varied = [], [], list(unconverged(case)), set()
        for i, point in enumerate(points, 1):
            at = case.moved(point.get("num_params", case.num_params), point.get("tokens", case.tokens))
            row: dict[str, Any] = dict(point)
            row |= {k: v for k, v in (("num_params", at.num_params), ("tokens", at.tokens)) if np.isfinite(v)}
            for role, name in case.names.items():
                table = {key: np.array([x]) for key, x in point.items() if key not in ("num_params", "tokens")}
                ends = band(*at.predict(role, table), self.level)[:, 0]
                if not np.isfinite(ends).all():
                    return abstain(case, f"the fit of {name} gives no number at point {i}: {case.fits[role].message}")
                row |= {f"{name}_low": min(ends[:2]), name: ends[1], f"{name}_high": max(ends[1:])}
            rows.append(row)
            varied |= set(point)
            sentences += [f"point {i}: {sentence}" for sentence in extrapolation(at, point)]
            reasons += [f"point {i}: {sentence}" for sentence in range_doubts(at, point)]
        reasons += list(held_out_doubts(case, sorted(varied)))
        told = held_out_sentence(case, sorted(varied)) or "the laws converged"
        where = (
            "held-out runs back what lies outside the measured range"
            if sentences
            else "every point lies inside the measured range"
        )
        because = "; ".join(dict.fromkeys(reasons)) or f"{where}, and {told}"
        only = rows[0] if len(rows) == 1 else {}
        return Recommendation(
            verdict="measure_first" if reasons else "run",
            choice={},
            interval={},
            level=self.level,
            predicted={n: (only[f"{n}_low"], only[n], only[f"{n}_high"]) for n in case.names.values() if only},
            base_loss=base_losses(case),
            binding="",
            extrapolation=sentences,
            because=because[0].upper() + because[1:] + ".",
            next_runs=[],
            question=self.facts() | dict(case.names),
            table=rows,
        )


def _checked(point: Mapping[str, Any], number: int, case: Case) -> dict[str, float]:
    """A point whose names are known and whose values are in range."""
    found = {}
    for name, value in point.items():
        name = {f"share_{case.names['domain']}": "domain_share", f"share_{case.general}": "general_share"}.get(
            name, name
        )
        if name not in QUANTITIES or name in ("loss", "share"):
            raise UserError(
                f"point {number} of the question has {name}, which is no column.{closest(name, QUANTITIES)}"
            )
        known = QUANTITIES[name]
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            raise UserError(f"point {number} of the question: {name} is {value!r}, which is no number") from None
        if not known.low <= found[name] <= known.high or not np.isfinite(found[name]):
            raise UserError(
                f"point {number} of the question: {name} is {value}; it must lie in [{known.low:g}, {known.high:g}]"
            )
    if "general_share" in found:
        found.setdefault("domain_share", 1 - found.pop("general_share"))
    return found


def _read(path: str) -> list[dict[str, Any]]:
    """Rows of a CSV file; empty cells are left out."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(
            f"question.path={path} does not exist; give a CSV file with columns such as domain_share, tokens"
        )
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = [{k.strip(): v for k, v in row.items() if k and v not in (None, "")} for row in csv.DictReader(text)]
    if not rows:
        raise UserError(f"question.path={path} has no rows")
    return rows
