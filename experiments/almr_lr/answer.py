"""Write answer.json and figures/ beside it: the best share of Latin and peak LR by size, and what the small pair costs.

Usage: python experiments/almr_lr/answer.py runs/almr_lr [runs/almr_lr_check]
The second folder holds the runs of check.yaml: the pairs that the first sweep chose, trained at 100k.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

import cptlab
from cptlab.errors import argument, one_sentence
from cptlab.fitting.fit import Fit
from cptlab.laws.almr_lr import AlmrLr
from cptlab.laws.base import Array
from cptlab.metrics.over_seeds import by_setting, each, over_seeds
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Field, Line, Mark, Panel, Points
from cptlab.report.png import save_png
from cptlab.report.style import CHOICE, FOUR, INK

SMALL, NEXT = "30k", "100k"
CORPORA = ("general", "latin")
LAW = AlmrLr(lr_unit=1e-3)
Rows: TypeAlias = Any  # a DataFrame, whose own types say less than its columns
DRAWS = 400
LEVEL = (0.05, 0.95)  # ends of a 90 % interval


def setting(config: Mapping[str, Any]) -> tuple[str, float, float]:
    """Size, share of Latin, peak LR."""
    return config["model"]["size"], config["mixture"]["domain_share"], config["optimizer"]["peak_lr"]


def read(path: str) -> Rows:
    """One row a run: size, num_params, share as drawn, peak LR, seed, last loss of each corpus and their sum."""
    return pd.DataFrame([
        {"run": run.run_id, "size": size, "num_params": run.num_params, "tokens": run.tokens, "seed": seed,
         "cell": f"{share:g} {rate:g}", "domain_share": run.shares[CORPORA[1]], "peak_lr": rate,
         "loss": sum(run.curves[name].loss[-1] for name in CORPORA)}
        | {name: run.curves[name].loss[-1] - run.curves[name].loss[0] for name in CORPORA}
        for (size, share, rate), runs in by_setting(path, setting).items() for seed, run in runs.items()
    ])  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """The sum of both losses over the measured box: shares (m,), rates (k,), loss (m, k), draws (n, m, k)."""

    shares: Array
    rates: Array
    loss: Array
    draws: Array

    def best(self, loss: Array) -> tuple[Array, Array]:
        """Share and rate of least loss, each (...), of loss (..., m, k)."""
        place = loss.reshape(*loss.shape[:-2], -1).argmin(axis=-1)
        return self.shares[place // len(self.rates)], self.rates[place % len(self.rates)]

    def at(self, loss: Array, share: float, rate: float) -> Array:
        """Values (...) of loss (..., m, k) where the box comes nearest to a pair."""
        return loss[..., np.abs(self.shares - share).argmin(), np.abs(np.log(self.rates / rate)).argmin()]


def surface(fit: Fit, num: tuple[int, int] = (81, 61)) -> Surface:
    """The fitted surface and its draws within what was measured."""
    (a, b), (low, high) = fit.support["domain_share"], fit.support["peak_lr"]
    shares, rates = np.linspace(a, b, num[0]), np.geomspace(low, high, num[1])
    share, rate = (x.ravel() for x in np.meshgrid(shares, rates, indexing="ij"))
    columns = {"domain_share": share, "peak_lr": rate}
    loss, draws = (LAW.predict(theta, columns) for theta in (fit.theta, fit.draws))
    return Surface(shares, rates, loss.reshape(num), draws.reshape(-1, *num))


def left_out(rows: Rows) -> float:
    """RMSE [nat/token] of the mean of a (share, LR) cell that the surface has not seen."""
    errors = []
    for cell in rows["cell"].unique():
        out = (rows["cell"] == cell).to_numpy()
        basis = LAW.basis(np.empty(0), {name: rows[name].to_numpy() for name in LAW.inputs})
        theta = np.linalg.lstsq(basis[~out], rows["loss"].to_numpy()[~out], rcond=None)[0]
        errors.append(float((basis[out] @ theta).mean() - rows["loss"][out].mean()))
    return float(np.sqrt(np.mean(np.square(errors))))


def describe(rows: Rows, fit: Fit, box: Surface) -> dict[str, Any]:
    """Optimum with its interval, how well the surface fits, and how the best share moves with the LR."""
    share, rate = box.best(box.loss)
    drawn = dict(zip(("domain_share", "peak_lr"), box.best(box.draws), strict=True))
    edges = {"domain_share": box.shares[[0, -1]], "peak_lr": box.rates[[0, -1]]}
    cxx, cxz = (fit.draws[:, LAW.parameter_names.index(name)] for name in ("cxx", "cxz"))
    slope = np.where(cxx > 0, -cxz / (2 * np.where(cxx > 0, cxx, 1)), np.nan)
    mean = rows.groupby("cell")["loss"].mean()
    return {
        "runs": len(rows), "domain_share": round(float(share), 3), "peak_lr": float(f"{rate:.3g}"),
        "interval": {k: [float(f"{x:.3g}") for x in np.quantile(v, LEVEL)] for k, v in drawn.items()},
        "draws_at_edge": {k: round(float(np.isin(v, edges[k]).mean()), 3) for k, v in drawn.items()},
        "logit_share_per_log_lr": [round(float(x), 3) for x in np.nanquantile(slope, (0.5, *LEVEL))],
        "best_measured_cell": {"share and peak LR": mean.idxmin(), "loss": round(float(mean.min()), 4)},
        "r2": round(fit.r2, 4), "cell_left_out_rmse": round(left_out(rows), 4),
        "spread_of_cells": round(float(mean.std(ddof=1)), 4),
        "seed_noise": None if fit.seed_noise is None else round(fit.seed_noise, 4),
        "parameters": {name: round(value, 4) for name, value in fit.parameters.items()},
    }  # fmt: skip


def transfer(pair: tuple[float, float], box: Surface) -> dict[str, Any]:
    """Loss at a pair minus the least of the box [nat/token], with its interval; and that of the box on average."""
    regret = box.at(box.draws, *pair) - box.draws.min(axis=(1, 2))
    return {
        "regret": round(float(box.at(box.loss, *pair) - box.loss.min()), 4),
        "interval": [round(float(x), 4) for x in np.quantile(regret, LEVEL)],
        "mean_regret_of_the_box": round(float(box.loss.mean() - box.loss.min()), 4),
    }


def check(path: str) -> dict[str, Any]:
    """The trained pairs: sum of both losses by pair, and each minus the first over the same seeds."""
    found = by_setting(path, setting)
    sums = {
        f"{share:g} {rate:g}": each(runs, lambda run: sum(float(run.curves[name].loss[-1]) for name in CORPORA))
        for (_, share, rate), runs in found.items()
    }
    first = min(sums)
    return {
        "loss": {name: over_seeds(values).to_json() for name, values in sums.items()},
        f"minus {first}": {name: over_seeds(x, sums[first]).to_json() for name, x in sums.items() if name != first},
    }


def charts(table: Rows, boxes: Mapping[str, Surface], pair: tuple[float, float]) -> list[Chart]:
    """The surfaces with what was trained and chosen; the best share at every LR."""
    panels, lines = [], []
    for (size, box), colour in zip(boxes.items(), FOUR, strict=False):
        cells = table[table["size"] == size]
        share, rate = box.best(box.loss)
        drawn = [np.quantile(x, LEVEL) for x in box.best(box.draws)]
        error = [np.abs(ends - value)[:, None] for ends, value in zip(drawn, (share, rate), strict=True)]
        best = {"x_error": error[1], "y_error": error[0], "legend": True}
        marks: list[Mark] = [
            Field(box.rates, box.shares, box.loss, "English + Latin", "nat/token", contours=True),
            Points(cells["peak_lr"].to_numpy(), cells["domain_share"].to_numpy(), "trained", INK, size=2.5),
            Points(np.array([rate]), np.array([share]), f"optimum of {size}, 90 %", CHOICE, "D", 6, **best),
        ]
        if size != SMALL:
            at = np.array([pair[1]]), np.array([pair[0]])
            marks.append(Points(*at, f"optimum of {SMALL}", CHOICE, "o", 7, hollow=True, legend=True))
        axes = Axis("peak LR", log=True), Axis("share of Latin")
        panels.append(Panel(f"{size}: loss on English + Latin", f"Fitted surface at {size}", *axes, marks))
        low, high = np.quantile(box.shares[box.draws.argmin(axis=1)], LEVEL, axis=0)
        lines.append(Line(box.rates, box.shares[box.loss.argmin(axis=0)], size, colour, low=low, high=high))
    axes = Axis("peak LR", log=True), Axis("share of Latin", low=0, high=1)
    best_share = Panel("Best share at each peak LR", "Best share by LR", *axes, lines)
    bands = Chart("best_share", "Best share", "Bands of 90 %.", [best_share], 1)
    return [Chart("surfaces", "Surfaces", "", panels), bands]


def main(path: str, checked: str = "") -> None:
    """Fit a surface a size, find the optima, ask what the small one's pair costs the next size."""
    table, here = read(path), Path(__file__).parent
    fits, boxes = {}, {}
    answer: dict[str, Any] = {"sizes": {}}
    for size in (SMALL, NEXT):
        rows = table[table["size"] == size].reset_index(drop=True)
        fits[size] = cptlab.fit(LAW, rows.drop(columns=["size", "cell", *CORPORA]), num_draws=DRAWS, heldout=False)
        boxes[size] = surface(fits[size])
        answer["sizes"][size] = describe(rows, fits[size], boxes[size])
    share, rate = (float(x) for x in boxes[SMALL].best(boxes[SMALL].loss))
    answer["transfer"] = transfer((share, rate), boxes[NEXT])
    answer["changes_in_box"] = {
        size: {name: [round(float(x), 3) for x in (rows[name].min(), rows[name].max())] for name in CORPORA}
        for size, rows in table.groupby("size")
    }
    answer["check"] = check(checked) if checked else None
    write_whole(here / "answer.json", answer)
    (here / "figures").mkdir(exist_ok=True)
    for chart in charts(table, boxes, (share, rate)):
        save_png(chart, here / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), *sys.argv[2:])
