"""Rows of a user's table that belong together: the run of a row, its base loss, rows that say the same twice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError
from cptlab.records.table import Array, Table

IDENTITY = ("num_params", "seed", "peak_lr", "tokens_per_step", "replay_share")


def run_names(columns: Mapping[str, Array], num: int) -> NDArray[np.str_]:
    """Where no column names the run: what stays the same along a run names it."""
    shares = sorted(n for n in columns if n.startswith("share_")) or [n for n in ("share",) if n in columns]
    names = [n for n in (*IDENTITY, *shares) if n in columns]
    rows = [" ".join(f"{n}={columns[n][i]:g}" for n in names) for i in range(num)]
    return np.array([text or "run" for text in rows])


def base_losses(
    loss: Array, start: NDArray[np.bool_], run: NDArray[np.str_], base: NDArray[np.str_], domain: Any
) -> Array:
    """Base loss of each row (n,): measured in its own run, else in a run of its base; NaN if neither."""
    of_run = {(run[i], domain[i]): loss[i] for i in np.flatnonzero(start)}
    of_base = {(base[i], domain[i]): loss[i] for i in np.flatnonzero(start)}
    keys = zip(run.tolist(), base.tolist(), domain.tolist(), strict=True)
    return np.array([of_run.get((r, d), of_base.get((b, d), np.nan)) for r, b, d in keys])


def repeats(
    table: Table, keep: NDArray[np.bool_], key: tuple[Any, ...], loss: Array, row: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Rows that say again what an earlier one said; two different losses of one row are refused."""
    first: dict[tuple[Any, ...], int] = {}
    again = np.zeros(len(row), dtype=bool)
    for i in np.flatnonzero(keep):
        j = first.setdefault(tuple(part[i] for part in key), int(i))
        again[i] = j != i
        if loss[i] != loss[j]:
            other = row[j] + table.first_row
            raise UserError(
                f"{table.where(row[i])} contradicts row {other}: {key[1][i]} loss {loss[i]:g} against "
                f"{loss[j]:g} at the same run and tokens; add a `run` or `seed` column, or mend the row"
            )
    return again
