"""A D-CPT grid whose law is known."""

import numpy as np
import pandas as pd

from cptlab.laws.dcpt import DCPT

#                 E    A      B     C     alpha eta  beta  eps   gamma
TRUTH = np.array([1.2, 200.0, 90.0, 0.15, 0.35, 0.6, 0.28, 0.05, 0.5])
SHARES = (0.0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0)


def grid(
    sizes: tuple[float, ...] = (5e8, 1.8e9, 4e9),
    shares: tuple[float, ...] = SHARES,
    checkpoints: int = 20,
    noise: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """A D-CPT grid with the parameters TRUTH; noise is the standard deviation of log loss."""
    N, r, D = np.meshgrid(sizes, shares, np.arange(1, checkpoints + 1) * 5e8, indexing="ij")
    table = pd.DataFrame({"num_params": N.ravel(), "tokens": D.ravel(), "share": r.ravel()})
    clean = DCPT().predict(TRUTH, {name: table[name].to_numpy() for name in table})
    table["loss"] = clean * np.exp(noise * np.random.default_rng(seed).standard_normal(len(table)))
    table["clean"] = clean
    table["base_loss"] = 4.0 + table["num_params"].rank(method="dense") * -0.1
    table["run"] = table["num_params"].astype(str) + "-" + table["share"].astype(str)
    return table
