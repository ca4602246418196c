"""fit.json: the fits as plain numbers, under names that others read."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cptlab.fitting.holdout import HeldOut
from cptlab.fitting.result import Fit


def to_json(fits: Iterable[Fit], level: float = 0.9) -> list[dict[str, Any]]:
    """The content of fit.json: one entry a fitted domain, plain numbers, null where there is no figure."""
    return [_entry(one, level) for one in fits]


def _entry(one: Fit, level: float) -> dict[str, Any]:
    parameters = {}
    for name, value in one.parameters.items():
        low, high = one.interval(name, level) if one.num_draws else (None, None)
        parameters[name] = {"value": value, "low": low, "high": high}
    known = one.identifiability
    return {
        "law": one.law_name, "domain": one.domain, "parameters": parameters,
        "objective": one.objective, "r2": finite(one.r2), "heldout": heldout_json(one.heldout),
        "baselines": {name: heldout_json(held) for name, held in one.baselines.items()},
        "identifiability": {
            "condition": finite(known.condition), "at_bound": known.at_bound, "unknown": known.unknown,
            "valley": known.valley, "sentences": known.sentences, "correlations": known.correlations.to_json(),
        },
        "num_runs": one.num_runs, "num_points": one.num_points, "success": one.success,
        "message": one.message,
    }  # fmt: skip


def heldout_json(held: Mapping[str, HeldOut]) -> dict[str, dict[str, float | int | None]]:
    """Protocol -> its figures."""
    return {
        protocol: {
            "mape": finite(h.mape), "r2": finite(h.r2), "rmse": finite(h.rmse),
            "rmse_delta": finite(h.rmse_delta), "r2_delta": finite(h.r2_delta), "num_points": h.num_points,
        }
        for protocol, h in held.items()
    }  # fmt: skip


def finite(value: float) -> float | None:
    """The number, None where it is NaN or infinite."""
    return float(value) if np.isfinite(value) else None
