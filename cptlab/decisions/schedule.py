"""Schedule, peak LR, loss potential, share and length of a run, by a law that reads learning-rate areas.

For cpt_dynamics (arXiv 2505.07796), annealing, multi_power, or any other law of `lr_area` and `anneal_area`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import product
from typing import Any

import numpy as np

from cptlab.decisions.axes import reads_share
from cptlab.decisions.bands import band
from cptlab.decisions.candidates import Array, Candidates
from cptlab.decisions.case import Case
from cptlab.decisions.choice import Judgement
from cptlab.decisions.question import share_or_null, zero_or_more
from cptlab.decisions.weighted import Weighted
from cptlab.errors import UserError, closest
from cptlab.schedules.area import anneal_area, learning_rates, lr_area, lr_drops
from cptlab.schedules.base import Schedule as LRSchedule
from cptlab.schedules.wsd import WSD
from cptlab.units import LR_DROP_NAMES
from cptlab.variants import discover_group, variant

SHOWN = 20  # best candidates in the table of the answer
DROPS = {name for node in LR_DROP_NAMES for name in node}


@variant("question")
@dataclass(kw_only=True)
class Schedule(Weighted):
    """argmin over listed runs of domain_weight L_domain + general_weight L_general, under a cap on the general rise.

    Candidates are all combinations of the lists; a list that is null has the one value that was measured (peak LR:
    every measured one; lengths: `tokens`).

    schedules: variants of lr_schedule; each takes those of warmup_tokens, decay_share and floor that it knows.
    peak_lrs: highest learning rates. domain_shares: for laws that read a share. lengths: tokens of the run.
    potentials: loss potential of the base, its final LR over its peak, in [0, 1]; its areas are those of a run of
        base_tokens at base_peak_lr whose last base_decay_share of tokens decay linearly to that LR.
    anneal_decay: lambda of the annealing area, as it was in the fitted table.
    tokens_per_step: tokens of one optimizer step; null = as measured.
    """

    schedules: list[str] = field(default_factory=lambda: ["constant", "linear", "cosine", "wsd"])
    warmup_tokens: float = 0.0
    decay_share: float = 0.2
    floor: float = 0.0
    peak_lrs: Any = None
    domain_shares: Any = None
    lengths: Any = None
    potentials: Any = None
    base_peak_lr: float | None = None
    base_tokens: float | None = None
    base_decay_share: float = 0.2
    anneal_decay: float = 0.999
    tokens_per_step: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, low, high in (
            ("peak_lrs", 0, np.inf), ("domain_shares", 0, 1), ("lengths", 1, np.inf), ("potentials", 0, 1)
        ):  # fmt: skip
            setattr(self, key, _numbers(key, getattr(self, key), low, high))
        zero_or_more("warmup_tokens", self.warmup_tokens)
        for key in ("decay_share", "floor", "base_decay_share"):
            share_or_null(key, getattr(self, key))
        if not 0 < self.anneal_decay < 1:
            raise UserError(f"question.anneal_decay is {self.anneal_decay}; it must lie between 0 and 1")
        if not self.schedules:
            raise UserError("question.schedules is empty; name schedules such as cosine, wsd")
        if self.potentials and not (self.base_peak_lr and self.base_tokens):
            raise UserError(
                "question.potentials needs question.base_peak_lr and question.base_tokens, the base's history"
            )

    @property
    def needs(self) -> dict[str, str]:
        """The history of learning rates; the base's for potentials."""
        base = {"base_lr_area": "so loss potentials are all one to it; leave question.potentials null"}
        areas = {"lr_area": "so schedules are all one to it; fit law=cpt_dynamics"}
        return areas | (base if self.potentials else {})

    @property
    def chooses(self) -> tuple[str, ...]:
        """Nothing of which one value is too few: an area of one value leaves the others."""
        return ()

    def candidates(self, case: Case) -> Candidates:
        """Every combination, with its areas at the end of the run."""
        read = {name for fit in case.fits.values() for name in fit.law.inputs}
        step = self.tokens_per_step or _one(case, "tokens_per_step")
        made = {name: self._schedule(name) for name in self.schedules}
        axes: dict[str, list[Any]] = {
            "schedule": list(made),
            "potential": self.potentials or [np.nan],
            "tokens": self.lengths or [case.tokens],
            "peak_lr": self.peak_lrs or _measured(case, "peak_lr"),
            "domain_share": (self.domain_shares or _measured(case, "domain_share")) if reads_share(case) else [np.nan],
        }
        if not np.isfinite(axes["tokens"]).all():
            raise UserError("the table has no tokens; give question.lengths, the tokens of the run")
        rows = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        columns = {name: np.array([row[name] for row in rows], float) for name in axes if name != "schedule"}
        base = {p: self._base_areas(p, step) for p in self.potentials}
        cache: dict[tuple[str, float, float], dict[str, float]] = {}
        areas = []
        for row in rows:
            key = (row["schedule"], row["peak_lr"], row["tokens"])
            if key not in cache:
                cache[key] = self._areas(made[key[0]], key[1], key[2], step, read)
            areas.append(cache[key] | base.get(row["potential"], {}))
        columns |= {name: np.array([x[name] for x in areas]) for name in areas[0]}
        columns = {name: x for name, x in columns.items() if not np.isnan(x).any()}
        axis = "domain_share" if len(axes["domain_share"]) > 1 else "peak_lr"
        return Candidates(
            columns, axis, len(axes[axis]), labels={"schedule": np.array([row["schedule"] for row in rows])},
            hidden=frozenset(areas[0]), listed=True,
        )  # fmt: skip

    def rows(self, case: Case, candidates: Candidates, judged: Judgement) -> list[dict[str, Any]]:
        """The best candidates, best first, with the interval of the weighted loss."""
        ends = band(judged.objective[0], judged.objective[1:], self.level)
        table = []
        for i in np.argsort(judged.objective[0], kind="stable")[:SHOWN]:
            row: dict[str, Any] = {name: str(words[i]) for name, words in candidates.labels.items()}
            row |= {name: float(candidates.columns[name][i]) for name in candidates.varied}
            row |= {"weighted_loss_low": ends[0, i], "weighted_loss": ends[1, i], "weighted_loss_high": ends[2, i]}
            row["meets_limits"] = all(np.atleast_2d(limit.excess)[0, i] <= 0 for limit in judged.limits)
            table.append(row)
        return table

    def unmet(self, case: Case) -> str:
        """No run keeps the cap."""
        rise = 0.0 if self.max_general_rise is None else self.max_general_rise
        return f"none of the listed runs keeps the predicted {case.general} loss within {rise:.3g} of its base loss"

    def _schedule(self, name: str) -> LRSchedule:
        known = discover_group("lr_schedule")
        if name not in known:
            raise UserError(f"question.schedules: {name} is no lr_schedule.{closest(name, known)}")
        taken = {f.name for f in fields(known[name])} & {"warmup_tokens", "decay_share", "floor"}
        return known[name](**{key: getattr(self, key) for key in taken})

    def _areas(self, made: LRSchedule, peak_lr: float, tokens: float, step: float, read: set[str]) -> dict[str, float]:
        rates = _rates(made, peak_lr, tokens, step)
        found = {"lr_area": float(lr_area(rates)[-1]), "anneal_area": float(anneal_area(rates, self.anneal_decay)[-1])}
        if read & DROPS:
            found |= {name: float(x[0]) for name, x in lr_drops(rates, np.array([len(rates)])).items()}
        return found

    def _base_areas(self, potential: float, step: float) -> dict[str, float]:
        made = WSD(decay_share=self.base_decay_share, floor=potential)
        rates = _rates(made, self.base_peak_lr or 0.0, self.base_tokens or 0.0, step)
        return {
            "base_lr_area": float(lr_area(rates)[-1]),
            "base_anneal_area": float(anneal_area(rates, self.anneal_decay)[-1]),
        }


def _rates(made: LRSchedule, peak_lr: float, tokens: float, step: float) -> Array:
    steps = int(tokens // step)
    if steps < 1:
        raise UserError(f"a run of {tokens:.4g} tokens has no step of {step:.4g} tokens; give a longer one")
    return learning_rates(made, peak_lr, int(step), steps * int(step))


def _one(case: Case, name: str) -> float:
    """The one measured value of a column."""
    rows = case.fits["domain"].observations.columns
    if name not in rows or np.ptp(rows[name]) > 0:
        raise UserError(f"the table does not tell one {name}; give question.{name}")
    return float(rows[name][0])


def _measured(case: Case, name: str) -> list[float]:
    """Distinct measured values."""
    rows = case.fits["domain"].observations.columns
    if name not in rows:
        raise UserError(f"the table has no column {name}; give question.{name}s, a list")
    return np.unique(np.round(rows[name], 12)).tolist()


def _numbers(key: str, values: Any, low: float, high: float) -> list[float]:
    values = [] if values is None else values
    if isinstance(values, int | float):
        values = [values]
    if not isinstance(values, list | tuple) or not all(isinstance(x, int | float) and low <= x <= high for x in values):
        raise UserError(f"question.{key} is {values!r}; it must be a list of numbers in [{low:g}, {high:g}], or null")
    return sorted(float(x) for x in values)
