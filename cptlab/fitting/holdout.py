"""Held-out error: how well the rows that a fit did not see are predicted, by the law and by the baselines.

Which rows are left out is told by `protocols`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.fitting.baselines import BASELINES, Grid, Mask
from cptlab.fitting.scope import is_share
from cptlab.laws.base import Array
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


def share_levels(rows: Observations, name: str = "share") -> NDArray[np.int_]:
    """Grid level of each row (n,): runs by their final share, cut wherever two neighbours lie apart."""
    if name not in rows.columns:
        return np.zeros(len(rows), int)
    final, which = _final(rows, name)
    rank = np.argsort(final, kind="stable")
    level = np.empty(len(final), int)
    level[rank] = np.concatenate([[0], np.cumsum(np.diff(final[rank]) > GAP)])
    return level[which]


def mixtures(rows: Observations, names: Sequence[str]) -> NDArray[np.int_]:
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


def judge(rows: Observations, folds: Sequence[Mask], predicted: Sequence[Array]) -> HeldOut:
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


def judge_baselines(rows: Observations, plan: Mapping[str, Sequence[Mask]]) -> dict[str, dict[str, HeldOut]]:
    """The baselines on exactly the same held-out rows: name -> protocol -> HeldOut."""
    if not plan:
        return {name: {} for name in BASELINES}
    base = base_loss(rows)
    zero = np.zeros(len(rows)) if base is None else base
    names = share_columns(rows)
    grid = Grid(
        run=rows.run, level=mixtures(rows, names) if len(names) > 1 else share_levels(rows, (*names, "share")[0]),
        size=_known(rows, "num_params"),
        share=np.stack([rows[name] for name in names], axis=1) if names else np.ones(len(rows)),
        tokens=_known(rows, "tokens"), delta=rows["loss"] - zero,
    )  # fmt: skip
    return {
        name: {
            protocol: judge(rows, folds, [zero[fold] + guess(grid, fold, protocol) for fold in folds])
            for protocol, folds in plan.items()
        }
        for name, guess in BASELINES.items()
    }


def share_columns(rows: Observations) -> list[str]:
    """Columns that tell mixtures apart: the shares of all corpora where three or more are known, else one share."""
    known = [name for name in rows.columns if is_share(name) and np.isfinite(rows[name]).all()]
    corpora = [name for name in known if name.startswith("share_")]
    if len(corpora) > 2:
        return corpora
    return [name for name in ("share", "domain_share", *corpora) if name in known][:1]


def _known(rows: Observations, name: str) -> Array:
    """A column (n,), ones where it is not known for every row."""
    column = rows.columns.get(name)
    return column if column is not None and np.isfinite(column).all() else np.ones(len(rows))


def base_loss(rows: Observations) -> Array | None:
    """Base loss (n,) [nat/token], None where it is not known for every row."""
    column = rows.columns.get("base_loss")
    return column if column is not None and np.isfinite(column).all() else None


def r_squared(observed: Array, error: Array) -> float:
    """1 - SSE / SST; NaN where the observed values do not vary."""
    total = float(np.sum((observed - observed.mean()) ** 2))
    return 1 - float(np.sum(error**2)) / total if total > 0 else float("nan")
