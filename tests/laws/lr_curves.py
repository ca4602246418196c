"""LR histories of published studies, rebuilt from their schedules, and tables of rows along them."""

from pathlib import Path

import numpy as np
import pandas as pd

from cptlab.schedules.area import anneal_area, lr_area, lr_drops

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TEST = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdcon_18", "wsdcon_3", "wsdld_20000_24000")
WARMUP, PEAK = 2160, 3e-4


def multipower_rates(name: str, steps: int) -> np.ndarray:
    """LR of steps 0 to `steps` of a curve of arXiv 2503.12811: linear warm-up from 0, then as its name says."""
    i = np.arange(steps + 1)
    kind, *numbers = name.split("_")
    if kind == "cosine":
        along = np.clip((i - WARMUP) / (int(numbers[0]) - WARMUP), 0, 1)
        rates = 3e-5 + (PEAK - 3e-5) * (1 + np.cos(np.pi * along)) / 2
    elif kind == "wsd":
        rates = PEAK * 0.1 ** np.clip((i - 20000) / 4000, 0, 1)
    elif kind == "wsdld":
        rates = PEAK - (PEAK - 3e-5) * np.clip((i - 20000) / 4000, 0, 1)
    elif kind == "wsdcon":
        rates = np.where(i < 8000, PEAK, int(numbers[0]) * 1e-5)
    else:
        rates = np.full(len(i), PEAK)
    return rates * np.minimum(1, i / WARMUP)


def multipower_table(lawdata: Path, size: int, names: tuple[str, ...]) -> pd.DataFrame:
    """The curves of one size (25 or 100, in millions) with the columns of the laws of LR histories."""
    tables = []
    for name in names:
        curve = pd.read_csv(lawdata / "multipower" / f"{size}_{name}.csv")
        at = curve["step"].to_numpy()
        rates = multipower_rates(name, at.max())
        np.testing.assert_allclose(rates[at], curve["lr"], rtol=1e-12)
        areas = {"lr_area": lr_area(rates)[at], "anneal_area": anneal_area(rates)[at]}
        columns = {"run": name, "step": at, "loss": curve["loss"], **areas, **lr_drops(rates, at + 1)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def error_by_curve(table: pd.DataFrame, predicted: np.ndarray) -> tuple[float, float]:
    """Mean over curves of R2 and of the mean absolute error [nat/token], as published."""
    r2, mae = [], []
    for run in table["run"].unique():
        rows = (table["run"] == run).to_numpy()
        loss, error = table["loss"][rows], predicted[rows] - table["loss"][rows]
        r2.append(1 - (error**2).sum() / ((loss - loss.mean()) ** 2).sum())
        mae.append(error.abs().mean())
    return float(np.mean(r2)), float(np.mean(mae))


def cpt_rates(kind: str, steps: int, peak: float = 2e-4, warmup: int = 200) -> np.ndarray:
    """LR of a run of `steps` updates: constant, cosine to a tenth, or wsd with a last fifth to 0."""
    i = np.arange(1, steps + 1)
    along = np.clip((i - warmup) / (steps - warmup), 0, 1)
    factor = {
        "constant": np.ones(steps),
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * along)),
        "wsd": np.clip((steps - i) / (0.2 * steps), 0, 1),
    }[kind]
    return peak * factor * np.minimum(1, i / warmup)


def cpt_table(
    branches: tuple[int, ...] = (24000, 26000, 28000, 30000),
    kinds: tuple[str, ...] = ("constant", "wsd", "cosine"),
    steps: int = 11600, every: int = 200, peak: float = 2e-4,
) -> pd.DataFrame:  # fmt: skip
    """Rows of CPT runs that branch off a 30k-step WSD base; by default 4 x 3 runs of 58 rows, 696 rows."""
    base = cpt_rates("wsd", 30000, warmup=500)
    tables = []
    for branch in branches:
        for kind in kinds:
            rates, at = cpt_rates(kind, steps, peak), np.arange(every, steps + 1, every)
            tables.append(
                pd.DataFrame({
                    "run": f"{kind} from {branch}", "tokens": at * 1e3,
                    "base_lr_area": lr_area(base)[branch - 1], "base_anneal_area": anneal_area(base)[branch - 1],
                    "lr_area": lr_area(rates)[at - 1], "anneal_area": anneal_area(rates)[at - 1],
                })
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)
