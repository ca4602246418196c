"""Questions to laws fitted to public losses, held against what was measured or has a closed form."""

from pathlib import Path

import numpy as np
import pandas as pd

from cptlab.decisions.compute_optimal import ComputeOptimal, chinchilla_optimum
from cptlab.decisions.critical_ratio import CriticalRatio
from cptlab.decisions.recommend import recommend
from cptlab.decisions.schedule import Schedule
from cptlab.fitting.fit import fit
from cptlab.schedules.area import anneal_area, lr_area

WARMUP, PEAK = 2160, 3e-4


def test_the_compute_optimum_of_the_replication_is_its_closed_form(lawdata: Path):
    raw = pd.read_csv(lawdata / "chinchilla_replication.csv").sort_values("loss").iloc[:-5]
    table = {
        "num_params": raw["num_params"], "tokens": raw["training_flop"] / (6 * raw["num_params"]), "loss": raw["loss"],
        "run": raw.index.astype(str),
    }  # fmt: skip
    fitted = fit("chinchilla", table, num_draws=60)
    found = recommend({"text": fitted}, ComputeOptimal(flops=1e21))
    N, D = chinchilla_optimum(fitted.parameters, 1e21)
    np.testing.assert_allclose([found.choice["num_params"], found.choice["tokens"]], [N, D], rtol=1e-3)
    low, high = found.interval["num_params"]
    assert low < N < high < 2 * low


def test_the_critical_pile_share_of_the_published_table(lawdata: Path):
    """The python share at which the Pile loss is back at the base's: 1 - 0.28623 in the paper."""
    raw = pd.read_csv(lawdata / "cpt_pile_python_70m.csv")
    common = {"tokens": raw["step"] * 1e6, "num_params": 7e7, "run": raw["r_gen"].astype(str)}
    tables = {
        "pile": {**common, "share": raw["r_gen"], "domain_share": 1 - raw["r_gen"], "loss": raw["pile"]},
        "python": {**common, "share": 1 - raw["r_gen"], "domain_share": 1 - raw["r_gen"], "loss": raw["python"]},
    }
    fits = {name: fit("dcpt", {**table, "domain": name}, num_draws=60) for name, table in tables.items()}
    question = CriticalRatio(tolerance=0, general="pile", domain="python", base_loss={"pile": 2.87337})
    found = recommend(fits, question)
    assert abs(1 - found.choice["domain_share"] - 0.28623) < 0.02


def test_the_schedules_rank_as_the_measured_curves_of_a_schedule_that_was_not_fitted(lawdata: Path):
    """25M model, 24,000 steps, arXiv 2503.12811: measured near the end 3.2776 WSD, 3.3044 cosine, 3.3473 constant."""
    i = np.arange(24001)
    along = np.clip((i - WARMUP) / (24000 - WARMUP), 0, 1)
    rise = np.minimum(1, i / WARMUP)
    rates = {
        "cosine_24000": (3e-5 + (PEAK - 3e-5) * (1 + np.cos(np.pi * along)) / 2) * rise,
        "constant_24000": PEAK * rise,
        "wsdcon_9": np.where(i < 8000, PEAK, 9e-5) * rise,
    }
    tables = []
    for name, rate in rates.items():
        curve = pd.read_csv(lawdata / "multipower" / f"25_{name}.csv")
        at = curve["step"].to_numpy()
        areas = {"lr_area": lr_area(rate)[at], "anneal_area": anneal_area(rate)[at]}
        tables.append(pd.DataFrame({"run": name, "loss": curve["loss"], **areas})[:: max(1, len(at) // 60)])
    fitted = fit("annealing", pd.concat(tables, ignore_index=True), num_draws=40)
    question = Schedule(
        schedules=["constant", "cosine", "wsd"], warmup_tokens=WARMUP, decay_share=1 / 6, floor=0.1, peak_lrs=[PEAK],
        lengths=[24000], tokens_per_step=1, general_weight=0,
    )  # fmt: skip
    found = recommend({"text": fitted}, question)
    assert [row["schedule"] for row in found.table] == ["wsd", "cosine", "constant"]
    predicted = [row["weighted_loss"] for row in found.table]
    np.testing.assert_allclose(predicted, [3.2776, 3.3044, 3.3473], atol=0.012)
