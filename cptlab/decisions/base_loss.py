"""Losses before the first update: given, measured, or read off the power law between measured sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.question import Question
from cptlab.decisions.sizes import SAME
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def base_losses_by_role(
    names: Mapping[str, str], fits: Mapping[str, Fit], num_params: float, question: Question
) -> tuple[dict[str, float], list[str]]:
    """Base losses by role, and a sentence for each guessed one on which a limit rests."""
    base_loss, guessed = {}, []
    for role, name in names.items():
        value, sentence = base_loss_at(fits[role], name, num_params, question)
        limits = role == "general" and question.needs_general_base
        if value is None and limits:
            raise UserError(
                f"the loss of {name} before the first update is not known, so no rise can be measured; "
                f'give it as "question.base_loss={{{name}: 2.87}}"'
            )
        if sentence and not limits:
            continue  # no limit rests on it
        base_loss |= {} if value is None else {role: value}
        guessed += [sentence] if sentence else []
    return base_loss, guessed


def base_loss_at(fit: Fit, name: str, num_params: float, question: Question) -> tuple[float | None, str]:
    """(base loss [nat/token] or None, a sentence if it was not measured at this size).

    Several bases of one size count by their mean. Between and beyond measured sizes: the power law through
    the two nearest, log L linear in log N.
    """
    if name in question.base_loss:
        return float(question.base_loss[name]), ""
    rows = fit.observations.columns
    if "base_loss" not in rows or not np.isfinite(rows["base_loss"]).any():
        return None, ""
    measured = np.isfinite(rows["base_loss"])
    loss, base = rows["base_loss"][measured], fit.observations.base[measured]
    size = rows["num_params"][measured] if "num_params" in rows else np.full(len(loss), nan)
    sizes = np.unique(size)

    def mean(of_size: NDArray[np.bool_]) -> float:
        return float(np.mean([loss[of_size & (base == b)].mean() for b in np.unique(base[of_size])]))

    if np.isnan(sizes).any():
        return mean(np.isnan(size)), ""
    losses = np.array([mean(size == s) for s in sizes])
    near = np.abs(np.log(sizes / num_params))
    if near.min() < SAME:
        return float(losses[near.argmin()]), ""
    if len(sizes) == 1:
        return None, ""
    low, high = np.sort(np.argsort(near, kind="stable")[:2])
    inside = sizes[0] < num_params < sizes[-1]
    if inside:
        high = int(np.searchsorted(sizes, num_params))
        low = high - 1
    slope = np.log(losses[high] / losses[low]) / np.log(sizes[high] / sizes[low])
    value = float(losses[low] * (num_params / sizes[low]) ** slope)
    how = "interpolated" if inside else "extrapolated"
    return value, (
        f"base loss of {name} at num_params {num_params:.4g} was not measured: {value:.4g} is {how} from "
        f"{sizes[low]:.4g} and {sizes[high]:.4g}"
    )
