"""Areas of the base's own learning-rate curve, recomputed from the schedules that its record or a declaration names."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cptlab.schedules.history import History, history_of

MEND = (
    "declare it (docs/schedules.md): model.lr_history when training, source.base_lr_history when fitting, each "
    "{peak_lr: 3e-4, tokens: 3e11, tokens_per_step: 4e6, schedule: {variant: cosine, floor: 0.1}}"
)
Known = Mapping[str, Any]


def base_areas(base: Known, decay: float = 0.999, declared: Known | None = None) -> dict[str, float]:
    """base_lr_area (S1), base_anneal_area (S2, lambda `decay`), base_potential; {} where the history is not known.

    base: as a run records it. declared: history of the open model at its root, where the record has none.
    """
    return dict(_areas(_canonical(base, declared), decay))


def final_lr(base: Known) -> float | None:
    """LR of the base's last step; None where its history is not known."""
    history = _history(_canonical(base, None))
    return float(history.rates()[-1]) if history else None


def _canonical(base: Known, declared: Known | None) -> str:
    """The history of a base as JSON: every row of every run of a base asks for it."""
    known = base.get("lr_history")
    if known and "tokens" not in known:  # of older records
        tokens, steps = base.get("tokens"), base.get("step")
        known = {**known, "tokens": tokens, "tokens_per_step": tokens // steps} if tokens and steps else None
    return json.dumps(_filled(known, declared), sort_keys=True, default=dict)


def _filled(known: Known | None, declared: Known | None) -> Known | None:
    """With the declared history where the recorded one begins at something unknown."""
    if not known:
        return declared
    return {**known, "before": _filled(known["before"], declared)} if "before" in known else known


@lru_cache
def _history(known: str) -> History | None:
    return history_of(json.loads(known), "the LR history of the base") if known != "null" else None


@lru_cache
def _areas(known: str, decay: float) -> dict[str, float]:
    history = _history(known)
    return history.areas(decay) if history else {}
