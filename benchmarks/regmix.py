"""Claim: the mixing law ranks unseen mixtures of 17 corpora at least as well as RegMix's linear regression.

Fits the Pile-CC loss of 512 one-million-parameter runs on their mixtures (`CPTLAB_LAWDATA`/regmix), predicts the test
runs at 1M, 60M and 1B, and prints one JSON line: Spearman rank correlations in percent (higher is better).
"""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import cptlab

DATA = Path(os.environ.get("CPTLAB_LAWDATA", Path(__file__).parents[2] / "shared" / "lawdata")) / "regmix"
TARGET = "metric/the_pile_pile_cc_val_loss"
TESTS = ("1m", "60m", "1B")
Runs = tuple[pd.DataFrame, np.ndarray]


def read(split: str, size: str) -> Runs:
    """Shares (one column a corpus) and the Pile-CC loss, joined on the run's index."""
    mixture = pd.read_csv(DATA / f"{split}_mixture_{size}.csv", index_col="index")
    loss = pd.read_csv(DATA / f"{split}_pile_loss_{size}.csv", index_col="index")[TARGET]
    both = mixture.join(loss, how="inner")
    return both[mixture.columns], both[TARGET].to_numpy()


def linear(train: Runs) -> np.ndarray:
    """Coefficients of an ordinary regression with an intercept."""
    X, y = train
    return np.linalg.lstsq(np.column_stack([np.ones(len(X)), X]), y)[0]


def table(X: pd.DataFrame) -> dict[str, np.ndarray]:
    return {"share_" + name.removeprefix("train_the_pile_"): X[name].to_numpy() for name in X}


def main() -> None:
    train = read("train", "1m")
    started = time.perf_counter()
    coefficients = linear(train)
    seconds = [time.perf_counter() - started]
    started = time.perf_counter()
    fit = cptlab.fit("mixing", table(train[0]) | {"loss": train[1]}, num_draws=0, heldout=False)
    seconds.append(time.perf_counter() - started)
    ours, theirs = {}, {}
    for size in TESTS:
        X, y = read("test", size)
        ours[size] = round(100 * float(spearmanr(fit.predict(table(X)), y).statistic), 2)
        flat = np.column_stack([np.ones(len(X)), X]) @ coefficients
        theirs[size] = round(100 * float(spearmanr(flat, y).statistic), 2)
    print(
        json.dumps({
            "claim": "law=mixing ranks held-out mixtures of 17 corpora (Pile-CC loss) no worse than a linear regression",
            "ours": ours, "theirs": theirs, "peer": "linear regression (RegMix baseline)", "unit": "Spearman, %",
            "ratio": round(min(ours[size] / theirs[size] for size in TESTS), 4),
            "seconds": [round(s, 3) for s in seconds[::-1]], "objective": fit.objective, "message": fit.message,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {package: version(package) for package in ("numpy", "scipy", "pandas")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
