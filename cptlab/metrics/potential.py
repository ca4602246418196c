"""Loss potential: how much annealing a model has left (Wang et al. 2025, arXiv 2505.07796).

    loss potential = LR of the last step / peak LR, in [0, 1]

Of a base it is what CPT starts from: 1 where its LR was never decayed, 0 where it was annealed to nothing. Of a run it
is what the next stage would start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError
from cptlab.records.base_areas import base_areas
from cptlab.schedules.area import learning_rates
from cptlab.variants import discover_group


def loss_potential(rates: NDArray[np.float64], peak_lr: float) -> float:
    """rates: LR of every optimizer step, (steps,); peak_lr: the schedule's own, which a short run may never reach."""
    return float(rates[-1] / peak_lr)


def potential_of_run(facts: Mapping[str, Any]) -> float | None:
    """Of a run at its end; None where its record names no schedule that is known here."""
    return _potential(facts.get("schedule"), facts.get("peak_lr"), facts["tokens_per_step"], facts["tokens_total"])


def potential_of_base(base: Mapping[str, Any], declared: Mapping[str, Any] | None = None) -> float | None:
    """Of the base of a run, the column base_potential; None where its history is not known, as of most open models.

    base: as a run records it, with the history that was declared for it (model.lr_history). declared: history for a
    base whose record has none (source.base_lr_history).
    """
    try:
        return base_areas(base, declared=declared).get("base_potential")
    except UserError:  # a schedule that is not known here, which only a fit of areas needs
        return None


def _potential(
    named: Mapping[str, Any] | None, peak_lr: float | None, tokens_per_step: int, total: int
) -> float | None:
    known = discover_group("lr_schedule")
    if not named or named.get("variant") not in known or not peak_lr:
        return None
    fields = {name: value for name, value in named.items() if name != "variant"}
    return loss_potential(learning_rates(known[named["variant"]](**fields), peak_lr, tokens_per_step, total), peak_lr)
