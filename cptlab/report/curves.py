"""What the fitted laws predict along lines and over planes, with bands from the draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.fitting.scope import is_share
from cptlab.report.grid import APART, OFF_LINE, Array, Story, last_rows, straight

LINE = 81  # points of a curve
ALONE = ("num_params", "tokens", "peak_lr")  # inputs that may be moved while all others stay
CELLS = 400_000  # predictions made at once


@dataclass(frozen=True)
class Predicted:
    """Losses [nat/token] of any shape: the point fit, and the ends of the draws' interval (None without draws)."""

    middle: Array
    low: Array | None
    high: Array | None


def curve(story: Story, corpus: str, size: float) -> tuple[Array, Predicted] | None:
    """Domain shares (m,) and the predicted losses (m,) at the last checkpoint of one size."""
    fit, answer = story.fits.get(corpus), story.recommendation.curves
    if fit is None or not np.isfinite(fit.theta).all():
        return None
    if answer is not None and corpus in answer.loss and np.isclose(size, answer.num_params, rtol=1e-3):
        low, middle, high = answer.loss[corpus]
        return answer.share, Predicted(middle, low, high)  # what the choice was read from
    ends = share_range(story, fit, size)
    if ends is None:
        return None
    grid = np.linspace(*ends, LINE)
    found = predict(story, fit, size, domain_share=grid)
    return None if isinstance(found, str) else (grid, found)


def share_range(story: Story, fit: Fit, size: float) -> tuple[float, float] | None:
    """Lowest and highest measured domain share; None where there are not two."""
    x = story.x(_ends(fit, size))
    return (float(x.min()), float(x.max())) if len(x) and np.isfinite(x).all() and np.ptp(x) > 0 else None


def predict(story: Story, fit: Fit, size: float, **moved: Any) -> Predicted | str:
    """The law at the last checkpoint of one size, with some quantities moved (arrays of one shape); else why not."""
    shape = np.broadcast_shapes(*(np.shape(value) for value in moved.values()))
    columns = inputs(story, fit, size, {name: np.broadcast_to(value, shape).ravel() for name, value in moved.items()})
    if isinstance(columns, str):
        return columns
    m, tail = int(np.prod(shape)), (1 - story.recommendation.level) / 2
    columns = {name: np.broadcast_to(column, (m,)) for name, column in columns.items()}
    with np.errstate(all="ignore"):
        middle = np.asarray(fit.law.predict(fit.theta, columns)).reshape(shape)
        if not fit.num_draws:
            return Predicted(middle, None, None)
        step, ends = max(1, CELLS // fit.num_draws), []
        for start in range(0, m, step):
            some = {name: column[start : start + step] for name, column in columns.items()}
            ends.append(np.quantile(fit.law.predict(fit.draws, some), [tail, 1 - tail], axis=0))
    low, high = np.concatenate(ends, axis=1).reshape(2, *shape)
    return Predicted(middle, low, high)


def inputs(story: Story, fit: Fit, size: float, moved: dict[str, Array]) -> dict[str, Any] | str:
    """Columns of the law's inputs, or a clause that says why they cannot be moved so."""
    table = _ends(fit, size)
    if not len(table):
        return "no run has that size"
    columns: dict[str, Any] = {}
    for name in fit.law.inputs:
        measured = table[name]
        if name in moved:
            columns[name] = moved[name]
        elif is_share(name) and "domain_share" in moved:
            slope, start = straight(story.x(table), measured)
            if np.abs(start + slope * story.x(table) - measured).max() > APART:
                return OFF_LINE
            columns[name] = np.clip(start + slope * moved["domain_share"], 0, 1)
        elif name == "base_loss" and "num_params" in moved:
            return "the law reads base_loss, which is not known at sizes that were not measured"
        elif fit.law.tied and not is_share(name) and name not in ALONE and np.ptp(measured) > 1e-6 * measured.max():
            return "the law reads whole learning-rate histories, of which there are several"
        else:
            columns[name] = float(np.quantile(measured, 0.5, method="lower"))
    return columns


def _ends(fit: Fit, size: float) -> Any:
    """The last rows of the runs of one size; of all sizes where the size is not known."""
    table = fit.observations
    if np.isfinite(size) and "num_params" in table.columns:
        table = table.where(table["num_params"] == size)
    return table.where(last_rows(table))
