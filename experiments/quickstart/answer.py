"""Write answer.json beside this file: every figure that the README claims, from the records and the fit.

Usage: python experiments/quickstart/answer.py fits/quickstart runs/quickstart [runs/check]
The third argument holds the run of the recommended command, trained after the recommendation.
"""

import json
import sys
from pathlib import Path

import numpy as np

from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.errors import argument, one_sentence
from cptlab.fitting.fit import Fit, fit
from cptlab.laws.dcpt import DCPT
from cptlab.records.read_runs import Runs
from cptlab.records.run import read_rows, write_whole


def errors(fitted: Fit, protocol: str) -> dict:
    """Held-out RMSE of loss - base loss of the law and of the baselines [nat/token]."""
    table = {"law": fitted.heldout[protocol]} | {
        name: held[protocol] for name, held in fitted.baselines.items() if protocol in held
    }
    return {name: round(float(held.rmse), 4) for name, held in table.items()} | {
        "num_points": int(fitted.heldout[protocol].num_points)
    }


def check(recommendation: dict, run: Path) -> dict:
    """A run at the recommended point: predicted there against measured on split fit, and the rise on split test."""
    rows = read_rows(run)
    last = max(row["step"] for row in rows)
    loss = {(r["step"], r["domain"], r["split"]): r["loss_sum"] / r["num_tokens"] for r in rows}
    return {
        "run_id": run.name,
        "domain_share": json.loads((run / "run.json").read_text("utf8"))["config"]["mixture"]["domain_share"],
        "predicted": recommendation["predicted"],
        "measured": {name: loss[last, name, "fit"] for name in recommendation["predicted"]},
        "change_fit": {n: loss[last, n, "fit"] / loss[0, n, "fit"] - 1 for n in recommendation["predicted"]},
        "change_test": {n: loss[last, n, "test"] / loss[0, n, "test"] - 1 for n in recommendation["predicted"]},
    }


def main(folder: Path, runs: str, checks: str = "") -> None:
    """Fit as fit_law.py does, ask the question for each size, keep the rounded figures."""
    source = Runs(path=runs)
    table = source.read()
    fits = {name: fit(DCPT(min_irreducible=-10), table, domain=name, num_draws=500) for name in table.domains}
    by_size = {}
    for num_params, name in sorted(source.sizes().items()):
        found = recommend(fits, Tradeoff(max_general_rise=0.03, num_params=num_params), source.sizes())
        by_size[name] = {
            "domain_share": round(found.choice["domain_share"], 3),
            "interval": [round(x, 3) for x in found.interval["domain_share"]],
            "verdict": found.verdict,
            "binding": found.binding,
        }
    recommendation = json.loads((folder / "recommendation.json").read_text("utf8"))
    total = sum(len(f.observations) for f in fits.values())
    by_rule = ("rows before the valid interval", "rows inside warm-up")
    early = sum(count for reason, count in table.left_out.items() if reason.startswith(by_rule))
    answer = {
        "max_general_rise": 0.03,
        "by_size": by_size,
        "r2": {name: round(f.r2, 4) for name, f in fits.items()},
        "seed_noise": {name: None if f.seed_noise is None else round(f.seed_noise, 4) for name, f in fits.items()},
        "heldout": {name: {protocol: errors(f, protocol) for protocol in f.heldout} for name, f in fits.items()},
        "rows": total,
        "left_out_share": round(early / (early + total), 3),
        "num_runs": len(np.unique(table.run)),
        "verdict": recommendation["verdict"],
        "checked": [check(recommendation, run.parent) for run in sorted(Path(checks).glob("*/run.json"))]
        if checks
        else [],
    }
    write_whole(Path(__file__).parent / "answer.json", answer)


if __name__ == "__main__":
    with one_sentence():
        main(Path(argument(1, "the folder of the fit")), *sys.argv[2:])
