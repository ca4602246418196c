"""Held-out error: which rows each protocol leaves out, and how well they are then predicted.

`ratio`: each interior share in turn, pooled. `ratio_ends`: the two end shares in turn, an extrapolation.
`tokens`: the last third of the token range. `size`: the largest size, only with four sizes or more, since
three do not identify E + A/N^alpha with one held out. Whole runs are held out, but for `tokens`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.fitting.baselines import BASELINES, Grid, Mask
from cptlab.laws.base import Array, Law
from cptlab.records.observations import Observations

GAP = 0.005  # [1] shares of runs further apart than this are different levels of a grid


@dataclass(frozen=True)
class HeldOut:
    """Error on rows that the fit did not see.

    mape: mean |error| / loss, a fraction. r2: of the loss. rmse: [nat/token]. rmse_delta, r2_delta: the same
    of loss - base loss; NaN where no base loss is known. rows: (num_points,) indices into the fit's
    observations. predicted: (num_points,) [nat/token].
    """

    mape: float
    r2: float
    rmse: float
    rmse_delta: float
    r2_delta: float
    num_points: int
    rows: NDArray[np.int_]
    predicted: Array


def share_levels(rows: Observations) -> NDArray[np.int_]:
    """Grid level of each row (n,): runs by their final share, cut wherever two neighbours lie apart."""
    if "share" not in rows.columns:
        return np.zeros(len(rows), int)
    runs, which = np.unique(rows.run, return_inverse=True)
    order = np.argsort(rows["tokens"], kind="stable") if "tokens" in rows.columns else np.arange(len(rows))
    final = np.empty(len(runs))
    final[which[order]] = rows["share"][order]
    rank = np.argsort(final, kind="stable")
    level = np.empty(len(runs), int)
    level[rank] = np.concatenate([[0], np.cumsum(np.diff(final[rank]) > GAP)])
    return level[which]


def protocols(law: Law, rows: Observations) -> dict[str, list[Mask]]:
    """Protocol -> folds, masks (n,) of the rows left out; a protocol that the data cannot bear is absent."""
    plan: dict[str, list[Mask]] = {}
    if "share" in law.inputs:
        level = share_levels(rows)
        last = int(level.max())
        if last + 1 > law.levels["share"].needed:
            plan["ratio"] = [level == value for value in range(1, last)]
            plan["ratio_ends"] = [level == 0, level == last]
    if "tokens" in law.inputs:
        tokens = rows["tokens"]
        held = tokens > tokens.max() - (tokens.max() - tokens.min()) / 3
        if len(np.unique(tokens[~held])) >= 3:
            plan["tokens"] = [held]
    if "num_params" in law.inputs:
        sizes = np.unique(rows["num_params"])
        if len(sizes) >= 4:
            plan["size"] = [rows["num_params"] == sizes[-1]]
    return {name: folds for name, folds in plan.items() if folds}


def judge(rows: Observations, folds: list[Mask], predicted: list[Array]) -> HeldOut:
    """Pool the folds: predicted[f] are the losses predicted for the rows that folds[f] left out."""
    index = np.concatenate([np.flatnonzero(fold) for fold in folds])
    values = np.concatenate(predicted)
    order = np.argsort(index, kind="stable")
    index, values = index[order], values[order]
    loss = rows["loss"][index]
    error = values - loss
    rmse = float(np.sqrt(np.mean(error**2)))
    base = base_loss(rows)
    return HeldOut(
        mape=float(np.mean(np.abs(error) / loss)),
        r2=r_squared(loss, error),
        rmse=rmse,
        rmse_delta=rmse if base is not None else float("nan"),
        r2_delta=r_squared(loss - base[index], error) if base is not None else float("nan"),
        num_points=len(index),
        rows=index,
        predicted=values,
    )


def judge_baselines(rows: Observations, plan: dict[str, list[Mask]]) -> dict[str, dict[str, HeldOut]]:
    """The baselines on exactly the same held-out rows: name -> protocol -> HeldOut."""
    base = base_loss(rows)
    zero = np.zeros(len(rows)) if base is None else base
    one = np.ones(len(rows))
    grid = Grid(
        run=rows.run, level=share_levels(rows), size=rows.columns.get("num_params", one),
        share=rows.columns.get("share", one), tokens=rows.columns.get("tokens", one),
        delta=rows["loss"] - zero,
    )  # fmt: skip
    return {
        name: {
            protocol: judge(rows, folds, [zero[fold] + guess(grid, fold, protocol) for fold in folds])
            for protocol, folds in plan.items()
        }
        for name, guess in BASELINES.items()
    }


def base_loss(rows: Observations) -> Array | None:
    """Base loss (n,) [nat/token], None where it is not known for every row."""
    column = rows.columns.get("base_loss")
    return column if column is not None and np.isfinite(column).all() else None


def r_squared(observed: Array, error: Array) -> float:
    """1 - SSE / SST; NaN where the observed values do not vary."""
    total = float(np.sum((observed - observed.mean()) ** 2))
    return 1 - float(np.sum(error**2)) / total if total > 0 else float("nan")
