"""The LR history of a base: that of its record, joined with those of its own bases, or declared for an open model.

A declared history is a mapping like that of a record, in a command or a YAML file:

    model.lr_history={peak_lr: 3e-4, tokens: 3e11, tokens_per_step: 4e6, schedule: {variant: cosine, floor: 0.1}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.schedules.area import anneal_area, learning_rates, loss_potential, lr_area
from cptlab.schedules.base import Array, Schedule
from cptlab.variants import discover_group

KEYS = ("peak_lr", "tokens", "tokens_per_step", "schedule")
OTHERS = ("tokens_total", "before")


@dataclass(frozen=True)
class History:
    """One stage of training and those before it.

    tokens, tokens_total: of whole steps, trained and those that the schedule was made for: a base may be an
        intermediate checkpoint.
    before: the history of what this stage started from; None where it started from random weights.
    """

    peak_lr: float
    schedule: Schedule
    tokens: int
    tokens_per_step: int
    tokens_total: int
    before: History | None = None

    def rates(self) -> Array:
        """LR of every optimizer step of this stage, (steps,)."""
        rates = learning_rates(self.schedule, self.peak_lr, self.tokens_per_step, self.tokens_total)
        return rates[: self.tokens // self.tokens_per_step]

    def areas(self, decay: float = 0.999) -> dict[str, float]:
        """base_lr_area (S1), base_anneal_area (S2 with this lambda), base_potential of a run that starts here.

        S1 sums over all stages. S2 is that of the last one: what a stage annealed, the next one's peak undoes.
        """
        rates = self.rates()
        earlier = self.before.areas(decay)["base_lr_area"] if self.before else 0.0
        return {
            "base_lr_area": earlier + float(lr_area(rates)[-1]),
            "base_anneal_area": float(anneal_area(rates, decay)[-1]),
            "base_potential": loss_potential(rates, self.peak_lr),
        }


def history_of(known: Mapping[str, Any], where: str = "lr_history") -> History | None:
    """A recorded or declared history; None if what was before its first stage is not known.

    known: peak_lr, tokens, tokens_per_step, schedule {variant, fields}; tokens_total where the schedule was made for
        more tokens than were trained; `before`, if there, a history like it, null if that is not known.
    where: key or record that a UserError names.
    """
    if not isinstance(known, Mapping):
        raise UserError(f"{where} is {known!r}; it must be a mapping with {', '.join(KEYS)}")
    for name in known:
        if name not in (*KEYS, *OTHERS):
            raise UserError(f"{where}.{name} is no key of a history.{closest(str(name), (*KEYS, *OTHERS))}")
    if missing := [name for name in KEYS if name not in known]:
        raise UserError(f"{where} lacks {', '.join(missing)}; a history has {', '.join(KEYS)}")
    peak_lr, tokens, per_step = (_positive(where, name, known[name]) for name in KEYS[:3])
    planned = _positive(where, "tokens_total", known.get("tokens_total", tokens))
    before = None
    if "before" in known:
        before = history_of(known["before"], f"{where}.before") if known["before"] is not None else None
        if before is None:
            return None
    if tokens < per_step:
        raise UserError(f"{where}.tokens is {tokens:g}, less than one step of tokens_per_step={per_step:g}")
    if planned < tokens:
        raise UserError(
            f"{where}.tokens_total is {planned:g}, less than tokens={tokens:g}; it is the schedule's whole length"
        )
    done, whole = (int(x // per_step) * int(per_step) for x in (tokens, planned))
    schedule = schedule_of(known["schedule"], f"{where}.schedule")
    with _named(f"{where}.schedule"):
        schedule.check(whole)
    return History(peak_lr, schedule, done, int(per_step), whole, before)


def schedule_of(named: Mapping[str, Any], where: str = "schedule") -> Schedule:
    """The schedule that a record or a declaration names: {variant: cosine, floor: .1}."""
    known, name = discover_group("lr_schedule"), named.get("variant") if isinstance(named, Mapping) else None
    if name not in known:
        raise UserError(f"{where}.variant is {name}, no lr_schedule.{closest(str(name), known)}")
    legal = {field.name for field in fields(known[name]) if field.init}
    values = {key: value for key, value in named.items() if key != "variant"}
    for key in values:
        if key not in legal:
            raise UserError(f"{where}.{key} is no key of lr_schedule={name}.{closest(str(key), legal)}")
    with _named(where):
        return known[name](**values)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """What a schedule says of its own keys, said of the place where the history names them."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("lr_schedule.", f"{where}.")) from None


def _positive(where: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise UserError(f"{where}.{name} is {value!r}; it must be a number above 0")
    return float(value)
