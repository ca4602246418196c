"""Losses at a size that no run had: the law gives the rise over the base loss, the base gives the level.

A base model lies off the trend of its family by an effect of its own, and the runs that start from it inherit that
effect. A law of the loss extrapolates such effects; the rise over the base loss is free of them. So the law's curve is
moved to where the measured rises, extrapolated over the size, put it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
NEEDED = 4  # sizes: of three, one residual would be left to tell the error of a line by


@dataclass(frozen=True)
class Level:
    """Where base_loss = 0 would put the curve. shift (1 + num_draws,): of the point fit and of every draw.

    spread: standard deviation of its error [nat/token]; freedom: of Student's t for that.
    """

    shift: Array
    spread: float
    freedom: int


def level_at(fit: Fit, num_params: float) -> Level | None:
    """Minus the base loss that each fit of the law implies at a size; None where too few sizes were measured.

    At a measured size the law implies: its own mean loss minus the measured mean rise. Over sizes these lie on a
    line against the law's mean loss m(N) at one design; for a law whose size term stands alone, and rises that do not
    depend on the size, exactly on m(N) minus that rise.
    """
    rows = fit.observations
    if not {"num_params", "base_loss"} <= rows.columns.keys() or "num_params" not in fit.law.inputs:
        return None
    near = np.isfinite(rows["base_loss"])
    if "tokens" in rows.columns:
        near &= rows["tokens"] >= rows["tokens"].max() - np.ptp(rows["tokens"]) / 3
    size, which = np.unique(rows["num_params"][near], return_inverse=True)
    if len(size) < NEEDED:
        return None
    columns = {name: rows[name][near] for name in fit.law.inputs}
    thetas = np.concatenate([fit.theta[None], fit.draws])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        implied = fit.law.predict(thetas, columns) - (rows["loss"] - rows["base_loss"])[near]
        at_size = np.stack([implied[:, which == i].mean(axis=1) for i in range(len(size))], axis=1)
        trend = np.stack([_at(fit, thetas, columns, n) for n in [*size, num_params]], axis=1)
        x, new = trend[:, :-1] - trend[:, :-1].mean(axis=1, keepdims=True), trend[:, -1] - trend[:, :-1].mean(axis=1)
        square = (x**2).sum(axis=1)
        flat = ~(square > 0)  # a law that does not depend on the size
        square, new = np.where(flat, 1.0, square), np.where(flat, 0.0, new)
        slope = (x * at_size).sum(axis=1) / square
    middle = at_size.mean(axis=1)
    left = at_size[0] - middle[0] - slope[0] * x[0]
    freedom = len(size) - 2
    leverage = 1 / len(size) + new[0] ** 2 / square[0]
    spread = np.sqrt((left**2).sum() / freedom * (1 + leverage))
    return Level(-(middle + slope * new), float(spread), freedom)


def _at(fit: Fit, thetas: Array, columns: dict[str, Array], num_params: float) -> Array:
    moved = columns | {"num_params": np.full_like(columns["num_params"], num_params)}
    return fit.law.predict(thetas, moved).mean(axis=1)
