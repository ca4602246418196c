"""Write the tables of this folder: the quick start's losses, and three that are made up from a law and noise.

Usage: python docs/data/make.py [fits/quickstart/observations.csv]
Without the argument only the three made-up tables are written.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from cptlab.laws.almr_lr import AlmrLr
from cptlab.laws.cpt_dynamics import CPTDynamics
from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.schedules.base import Schedule
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.wsd import WSD

HERE = Path(__file__).parent
KEPT = [
    "run",
    "domain",
    "base_id",
    "num_params",
    "tokens",
    "domain_share",
    "general_share",
    "seed",
    "base_loss",
    "loss",
]
# c0, cx, cz, cxx, cxz, czz of AlmrLr: the sum of the two has its minimum at share .5 and LR 2.7e-5.
SURFACES = {"law": (2.60, -0.06, -0.10, 0.010, 0.0, 0.020), "general": (2.30, 0.05, 0.03, 0.015, 0.01, 0.015)}
# L0, A, C1, C2, B, alpha, E, beta as published (arXiv 2505.07796, 106M, FineWeb -> Knowledge-Pile).
DYNAMICS = {
    "general": (3.057, 0.490, 0.299, 0.298, 0.366, 0.497, 28, 0.189),
    "law": (3.024, 0.412, 0.278, 0.324, -0.666, 0.677, 5662, 0.146),
}
STEP = 1_000_000  # tokens of one optimizer step in schedules.csv
# floor, gain from no share to the whole, rate of each corpus in its own share (three_corpora.csv)
CORPORA = {"general": (2.10, 0.40, 4.0), "law": (1.80, 0.90, 5.0), "medicine": (2.00, 0.70, 6.0)}


def quickstart(path: Path) -> pd.DataFrame:
    """The rows of split `fit` of the quick start, rounded to a millionth."""
    rows = pd.read_csv(path)
    return rows.loc[rows["split"] == "fit", KEPT].round(6)


def lr_grid() -> pd.DataFrame:
    """5 shares x 4 learning rates of one size and length, noise of .002 nat."""
    share, rate = (x.ravel() for x in np.meshgrid([0.1, 0.3, 0.5, 0.7, 0.9], [5e-6, 1e-5, 3e-5, 1e-4]))
    columns = {"domain_share": share, "peak_lr": rate}
    rng, parts = np.random.default_rng(0), []
    for domain, theta in SURFACES.items():
        loss = AlmrLr().predict(np.array(theta), columns) + rng.normal(0, 0.002, len(share))
        run = [f"{s:g}-{r:g}" for s, r in zip(share, rate, strict=True)]
        parts.append(pd.DataFrame({"run": run, "domain": domain} | columns | {"loss": loss.round(5)}))
    return pd.concat(parts).assign(num_params=1e8, tokens=1e9)


def schedules() -> pd.DataFrame:
    """Runs of 6,000 steps from two points of a base's decay, three schedules and two LRs, noise of .003 nat."""
    rng, parts = np.random.default_rng(0), []
    for branch, peak, (name, made) in product((24000, 30000), (1e-4, 2e-4), _made()):
        base = learning_rates(WSD(warmup_tokens=0, decay_share=0.2, floor=0.0), 2e-4, STEP, 30000 * STEP)[:branch]
        rates = learning_rates(made, peak, STEP, 6000 * STEP)
        steps = np.arange(500, 6001, 500)
        areas = {
            "lr_area": lr_area(rates)[steps - 1],
            "anneal_area": anneal_area(rates)[steps - 1],
            "base_lr_area": np.full(len(steps), lr_area(base)[-1]),
            "base_anneal_area": np.full(len(steps), anneal_area(base)[-1]),
        }
        for domain, theta in DYNAMICS.items():
            law = CPTDynamics()
            loss = law.predict(np.array(theta), areas) + rng.normal(0, 0.003, len(steps))
            labels = {"run": f"{name}-{peak:g}-{branch}", "domain": domain, "base_id": f"step {branch}"}
            parts.append(pd.DataFrame(labels | {"tokens": steps * STEP, "peak_lr": peak} | areas | {"loss": loss}))
    return pd.concat(parts).assign(tokens_per_step=STEP, num_params=106e6).round(6)


def _made() -> Iterator[tuple[str, Schedule]]:
    yield "constant", Constant(warmup_tokens=0)
    yield "wsd", WSD(warmup_tokens=0, decay_share=0.2, floor=0.0)
    yield "cosine", Cosine(warmup_tokens=0, floor=0.0)


def three_corpora() -> pd.DataFrame:
    """21 mixtures of three corpora: each loss falls exponentially in its own share, noise of .002 nat."""
    shares = np.array([(i, j, 5 - i - j) for i in range(6) for j in range(6 - i)]) / 5
    rng = np.random.default_rng(0)
    table = pd.DataFrame(shares, columns=[f"share_{name}" for name in CORPORA])
    for name, (floor, gain, rate) in CORPORA.items():
        loss = floor + gain * np.exp(-rate * table[f"share_{name}"]) + rng.normal(0, 0.002, len(table))
        table[f"loss_{name}"] = loss.round(5)
    return table.assign(num_params=1e8, tokens=1e9)


def main() -> None:
    """Write the tables."""
    tables = {"lr_grid": lr_grid(), "schedules": schedules(), "three_corpora": three_corpora()}
    if sys.argv[1:]:
        tables["quickstart"] = quickstart(Path(sys.argv[1]))
    for name, table in tables.items():
        table.to_csv(HERE / f"{name}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
