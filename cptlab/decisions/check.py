"""A trained run held against the interval that was predicted for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.decisions.case import resolve
from cptlab.decisions.choice import predicted
from cptlab.decisions.what_if import WhatIf
from cptlab.errors import UserError, closest
from cptlab.records.observations import Observations

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Interval = tuple[float, float, float]
SAME_SHARE, SAME_SIZE = 0.01, 0.01  # how far the run may lie from what was predicted, the second relatively


@dataclass(frozen=True)
class Check:
    """What came of a prediction.

    run: its id. against: where the prediction comes from, in words. place: the run's own quantities. measured: corpus
    -> loss at the end of the run [nat/token]. predicted: corpus -> (low, mid, high). level: of the intervals.
    """

    run: str
    against: str
    place: Mapping[str, float]
    measured: Mapping[str, float]
    predicted: Mapping[str, Interval]
    level: float

    @property
    def inside(self) -> dict[str, bool]:
        """Corpus -> whether the measured loss lies in its interval."""
        return {name: self.predicted[name][0] <= x <= self.predicted[name][2] for name, x in self.measured.items()}

    def sentences(self) -> list[str]:
        """One a corpus."""
        return [self._sentence(name) for name in self.measured]

    def _sentence(self, name: str) -> str:
        loss, (low, mid, high) = self.measured[name], self.predicted[name]
        where = "inside" if self.inside[name] else "outside"
        return (
            f"{name}: measured {loss:.4f} lies {where} the {self.level:.0%} interval {low:.4f} to {high:.4f}, "
            f"{loss - mid:+.4f} nat from the predicted {mid:.4f}"
        )

    def to_json(self) -> dict[str, Any]:
        """The content of check.json."""
        return {
            "run": self.run, "against": self.against, "place": dict(self.place), "level": self.level,
            "corpora": {
                name: {"measured": x, "predicted": list(self.predicted[name]), "inside": self.inside[name]}
                for name, x in self.measured.items()
            },
        }  # fmt: skip


def without(rows: Observations, run: str) -> tuple[Observations, Observations]:
    """(the last rows of a run, the rows of all others); UserError where it is not there or is the only one."""
    mine = rows.run == run
    if not mine.any():
        raise UserError(f"check={run} is no run among the rows read.{closest(run, rows.run.tolist())}")
    if mine.all():
        raise UserError(f"check={run} is the only run; nothing is left to predict it from")
    own = rows.where(mine & (rows.split == "fit"))
    if not len(own):
        raise UserError(f"check={run} has no row of split fit, on which predictions are made")
    if "tokens" in own.columns:
        own = own.where(own["tokens"] == own["tokens"].max())
    return own, rows.where(~mine)


def earlier(path: Path, own: Observations) -> Check | None:
    """The run against the choice of an earlier recommendation.json; None where that is about something else."""
    if not path.exists():
        return None
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        choice, foreseen = dict(answer["choice"]), dict(answer["predicted"])
    except (ValueError, KeyError, TypeError):
        return None
    place = _place(own)
    known = [name for name in place if isinstance(choice.get(name), int | float)]
    if not known or not foreseen or any(not _same(name, place[name], choice[name]) for name in known):
        return None
    measured = {name: x for name, x in _measured(own).items() if name in foreseen}
    if not measured:
        return None
    intervals = {name: (float(low), float(mid), float(high)) for name, (low, mid, high) in foreseen.items()}
    return Check(
        str(own.run[0]), f"the prediction written to {path} before", place, measured, intervals, answer["level"]
    )


def held_against(fits: Mapping[str, Fit], own: Observations, question: Any) -> Check:
    """The run against fits that have not seen it, at its own achieved shares, size and tokens.

    question: names the corpora and the level, and gives other inputs of the law.
    """
    place = _place(own)
    names = {key: getattr(question, key) for key in ("general", "domain", "level", "base_loss", "given")}
    case = resolve(fits, WhatIf(points=[place], **names))
    case = case.moved(place.get("num_params", case.num_params), place.get("tokens", case.tokens))
    inputs = {name for fit in fits.values() for name in fit.law.inputs} | {"domain_share", "num_params", "tokens"}
    more = {name: float(own[name][0]) for name in inputs & set(own.columns) - set(place) if not _is_share(name)}
    fixed = ("num_params", "tokens", "base_loss")  # of the case
    asked = {name: value for name, value in (place | more).items() if name not in fixed}
    intervals = predicted(case, asked, question.level)
    measured = {name: x for name, x in _measured(own).items() if name in intervals}
    return Check(str(own.run[0]), "fits that have not seen it", place, measured, intervals, question.level)


def _place(own: Observations) -> dict[str, float]:
    names = ("domain_share", "num_params", "tokens")
    return {name: float(own[name][0]) for name in names if name in own.columns and np.isfinite(own[name][0])}


def _measured(own: Observations) -> dict[str, float]:
    return {str(name): float(x) for name, x in zip(own.domain, own["loss"], strict=True)}


def _same(name: str, one: float, other: float) -> bool:
    return abs(one - other) <= SAME_SHARE if _is_share(name) else bool(np.isclose(one, other, rtol=SAME_SIZE))


def _is_share(name: str) -> bool:
    return name == "share" or name.endswith("_share") or name.startswith("share_")
