"""Held-out error: which rows each protocol leaves out, and how well they are then predicted.

`ratio`: each interior share in turn, pooled; of several corpora: each mixture in turn, in at most ten folds.
`ratio_ends`: the two end shares in turn, an extrapolation.
`tokens`: the last third of the token range. `size`: the largest size, only with four sizes or more, since
three do not identify E + A/N^alpha with one held out. Whole runs are held out, but for `tokens`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.fitting.baselines import BASELINES, Grid, Mask
from cptlab.fitting.scope import is_share
from cptlab.laws.base import Array, Law
from cptlab.records.observations import Observations

FOLDS = 10  # of `ratio` where a law reads the shares of several corpora
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


def share_levels(rows: Observations, name: str = "share") -> NDArray[np.int_]:
    """Grid level of each row (n,): runs by their final share, cut wherever two neighbours lie apart."""
    if name not in rows.columns:
        return np.zeros(len(rows), int)
    final, which = _final(rows, name)
    rank = np.argsort(final, kind="stable")
    level = np.empty(len(final), int)
    level[rank] = np.concatenate([[0], np.cumsum(np.diff(final[rank]) > GAP)])
    return level[which]


def mixtures(rows: Observations, names: list[str]) -> NDArray[np.int_]:
    """Number of each row's mixture (n,): runs whose final shares agree to GAP count as one."""
    finals = [_final(rows, name) for name in names]
    shares = np.round(np.stack([final for final, _ in finals], axis=1) / GAP)
    return np.unique(shares, axis=0, return_inverse=True)[1][finals[0][1]]


def _final(rows: Observations, name: str) -> tuple[Array, NDArray[np.intp]]:
    """Last value of a column in each run, and the run of each row."""
    runs, which = np.unique(rows.run, return_inverse=True)
    order = np.argsort(rows["tokens"], kind="stable") if "tokens" in rows.columns else np.arange(len(rows))
    final = np.empty(len(runs))
    final[which[order]] = rows[name][order]
    return final, which


def protocols(law: Law, rows: Observations) -> dict[str, list[Mask]]:
    """Protocol -> folds, masks (n,) of the rows left out; a protocol that the data cannot bear is absent."""
    plan: dict[str, list[Mask]] = {}
    shares = [name for name in law.inputs if is_share(name)]
    if len(shares) > 1:
        mixture = mixtures(rows, shares)
        if mixture.max() > len(shares):
            plan["ratio"] = [mixture % FOLDS == fold for fold in range(min(FOLDS, int(mixture.max()) + 1))]
    elif shares:
        level = share_levels(rows, shares[0])
        last = int(level.max())
        if last + 1 > law.levels[shares[0]].needed:
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
        share=_share(rows), tokens=rows.columns.get("tokens", one),
        delta=rows["loss"] - zero,
    )  # fmt: skip
    return {
        name: {
            protocol: judge(rows, folds, [zero[fold] + guess(grid, fold, protocol) for fold in folds])
            for protocol, folds in plan.items()
        }
        for name, guess in BASELINES.items()
    }


def _share(rows: Observations) -> Array:
    """The column by which baselines tell mixtures apart: `share`, else the first share of any corpus; ones if none."""
    names = [name for name in ("share", *rows.columns) if is_share(name) and name in rows.columns]
    return rows[names[0]] if names else np.ones(len(rows))


def base_loss(rows: Observations) -> Array | None:
    """Base loss (n,) [nat/token], None where it is not known for every row."""
    column = rows.columns.get("base_loss")
    return column if column is not None and np.isfinite(column).all() else None


def r_squared(observed: Array, error: Array) -> float:
    """1 - SSE / SST; NaN where the observed values do not vary."""
    total = float(np.sum((observed - observed.mean()) ** 2))
    return 1 - float(np.sum(error**2)) / total if total > 0 else float("nan")
