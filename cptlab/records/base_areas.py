"""Areas of the base's own learning-rate curve, recomputed from the schedule that its record names."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.variants import discover_group


def base_areas(base: Mapping[str, Any]) -> dict[str, float]:
    """base_lr_area (S1) and base_anneal_area (S2, lambda .999); {} for a base whose history is not known."""
    history, tokens, steps = base.get("lr_history"), base.get("tokens"), base.get("step")
    if not history or not tokens or not steps:
        return {}
    return dict(_areas(json.dumps(history, sort_keys=True), tokens, steps))


@lru_cache
def _areas(history: str, tokens: int, steps: int) -> dict[str, float]:
    """The same for a history as JSON: every row of every run of a base asks for it."""
    known = json.loads(history)
    variant = known["schedule"].pop("variant")
    schedule = discover_group("lr_schedule")[variant](**known["schedule"])
    rates = learning_rates(schedule, known["peak_lr"], tokens // steps, tokens)
    return {"base_lr_area": float(lr_area(rates)[-1]), "base_anneal_area": float(anneal_area(rates)[-1])}
