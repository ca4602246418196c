"""How wrong a law is, beyond what its parameters do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cptlab.decisions.sizes import same_size

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def misfit(fit: Fit, num_params: float) -> float:
    """How far whole runs lie off the law at their end: RMS over runs of the mean residual [nat/token].

    Of the rows in the last third of the measured tokens, and of runs of that size where there are any.
    """
    rows = fit.observations
    near = np.ones(len(rows), dtype=bool)
    if "tokens" in rows.columns:
        tokens = rows["tokens"]
        near = tokens >= tokens.max() - np.ptp(tokens) / 3
    if "num_params" in rows.columns:
        same = near & same_size(rows["num_params"], num_params)
        near = same if same.any() else near
    of_runs = [fit.residuals[near & (rows.run == run)].mean() for run in np.unique(rows.run[near])]
    return float(np.sqrt(np.mean(np.square(of_runs))))
