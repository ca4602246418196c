"""Fits in stages: runs from scratch tell what runs from a base share with them (arXiv 2407.02118)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cptlab.errors import UserError
from cptlab.fitting.fit import Fit, fit
from cptlab.laws.base import Array
from cptlab.laws.crosslingual import Crosslingual
from cptlab.records.observations import Observations

SHARED = ("E", "A", "alpha")


def fit_two_stages(table: Observations | Mapping[str, Any], **options: Any) -> tuple[Fit, Fit]:
    """Fit `crosslingual` to the rows at from_scratch = 1, then to those at 0 with E, A, alpha held.

    table: with the column from_scratch. options: of `fit`. Returns the fits of scratch and of continued runs.
    Draws of the second are conditional on the first one's E, A and alpha, so its intervals are too narrow by
    what those do not know; `Crosslingual(joint=True)` fits all at once and draws all.
    """
    columns = table.columns if isinstance(table, Observations) else table
    if "from_scratch" not in columns:
        raise UserError("a fit in two stages needs the column from_scratch: 1 for runs from random weights, else 0.")
    from_scratch = np.asarray(columns["from_scratch"], float)
    if not np.isin(from_scratch, (0, 1)).all() or len(np.unique(from_scratch)) < 2:
        raise UserError("from_scratch must be 0 or 1, and a fit in two stages needs rows of both.")
    scratch = fit(Crosslingual(), _rows(table, from_scratch == 1), fixed={"gamma": 0.0}, **options)
    held = {name: scratch.parameters[name] for name in SHARED}
    return scratch, fit(Crosslingual(), _rows(table, from_scratch == 0), fixed=held, **options)


def _rows(table: Observations | Mapping[str, Any], mask: np.ndarray) -> Observations | dict[str, Array]:
    if isinstance(table, Observations):
        return table.where(mask)
    whole = {name: np.asarray(table[name]) for name in table}
    return {name: column[mask] if column.ndim else column for name, column in whole.items()}
