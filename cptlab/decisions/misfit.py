"""How wrong a law is, beyond what its parameters do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cptlab.decisions.sizes import same_size

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def misfit(fit: Fit, num_params: float, within_size: bool = False) -> float:
    """How far whole runs lie off the law at their end: RMS over runs of the mean residual [nat/token].

    Of the rows in the last third of the measured tokens, and of runs of that size where there are any. within_size:
    off the mean of the runs of their own size instead, which leaves out what a base gives to all of its runs.
    """
    rows = fit.observations
    near = np.ones(len(rows), dtype=bool)
    if "tokens" in rows.columns:
        tokens = rows["tokens"]
        near = tokens >= tokens.max() - np.ptp(tokens) / 3
    if "num_params" in rows.columns:
        same = near & same_size(rows["num_params"], num_params)
        near = same if same.any() else near
    _, first, which = np.unique(rows.run[near], return_index=True, return_inverse=True)
    of_runs = np.bincount(which, fit.residuals[near]) / np.bincount(which)
    if within_size and "num_params" in rows.columns:
        _, size = np.unique(rows["num_params"][near][first], return_inverse=True)
        of_runs = of_runs - (np.bincount(size, of_runs) / np.bincount(size))[size]
    return float(np.sqrt(np.mean(np.square(of_runs))))
