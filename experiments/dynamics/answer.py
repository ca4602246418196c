"""Write answer.json and figures/ beside it: the dynamics law, fitted to constant and WSD runs, against the cosine runs.

Usage: python experiments/dynamics/answer.py runs/dynamics [answer.json]
"""

import sys
from pathlib import Path

import numpy as np

import cptlab
from cptlab.errors import argument, one_sentence
from cptlab.fitting.fit import Fit
from cptlab.laws.base import Array
from cptlab.records.observations import Observations
from cptlab.records.read_runs import Runs
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Line, Panel, Points
from cptlab.report.png import save_png
from cptlab.report.style import FOUR

LAMBDAS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)  # the fitted runs choose; the paper's .999 is the last
HELD_OUT = "cosine"
DRAWS = 200
COMPARED = ("constant", "wsd 0.2", "cosine")  # whose best is predicted
NAMES = {"general": "prose"}
COLOURS = dict(zip(("constant", "wsd 0.2", "wsd 0.5", HELD_OUT), FOUR, strict=True))


def read(runs: str, decay: float) -> tuple[Observations, dict[str, str]]:
    """The rows with the areas of one lambda, and run -> schedule."""
    source = Runs(path=runs, valid_from=0, anneal_decay=decay)
    rows = source.read()
    named = {run.facts["run_id"]: run.facts["schedule"] for run in source.usable}
    share = {run: f" {known['decay_share']:g}" if "decay_share" in known else "" for run, known in named.items()}
    return rows, {run: named[run]["variant"] + share[run] for run in named}


def of(rows: Observations, schedules: dict[str, str], *names: str) -> Observations:
    """The rows of the runs of some schedules."""
    return rows.where(np.array([schedules[run] in names for run in rows.run.tolist()]))


def fitted(rows: Observations, schedules: dict[str, str], domain: str, draws: int) -> Fit:
    """The law on every schedule but the one held out."""
    seen = sorted(set(schedules.values()) - {HELD_OUT})
    return cptlab.fit("cpt_dynamics", of(rows, schedules, *seen), domain=domain, num_draws=draws, heldout=False)


def r2(loss: Array, predicted: Array) -> float:
    """1 - squared errors over squared distances from the mean."""
    return float(1 - np.sum((predicted - loss) ** 2) / np.sum((loss - loss.mean()) ** 2))


def same_seed(held: Observations, constant: Observations, fit: Fit) -> Array:
    """The law, and by how much it missed the constant run of the same seed at the same step."""
    missed = constant["loss"] - fit.predict(constant)
    known = dict(zip(zip(constant["seed"], constant["step"], strict=True), missed, strict=True))
    return fit.predict(held) + [known[key] for key in zip(held["seed"], held["step"], strict=True)]


def ceiling(loss: Array, noise: float | None) -> float | None:
    """R2 that a law without error would reach on rows of single seeds."""
    return None if noise is None else round(float(1 - noise**2 / loss.var()), 5)


def other_ways(runs: str, schedules: dict[str, str], domain: str) -> dict[str, float]:
    """Held-out R2 with the paper's lambda, and of later rows alone."""
    found = {}
    for name, decay, start in (("lambda 0.999", 0.999, 0.0), ("rows after a twentieth", 0.97, 0.05)):
        rows = read(runs, decay)[0]
        rows = rows.where(rows["tokens"] >= start * rows["tokens"].max())
        held = of(rows.of_domain(domain), schedules, HELD_OUT)
        found[name] = round(r2(held["loss"], fitted(rows, schedules, domain, 0).predict(held)), 5)
    return found


def at_same(rows: Observations, others: Observations, column: str) -> Array:
    """Baseline: the mean loss of other runs where `column` is the same, straight between their rows."""
    curves = [others.where(others.run == run) for run in np.unique(others.run)]
    ordered = [c.where(np.argsort(c[column])) for c in curves]
    found = [np.interp(rows[column], c[column], c["loss"]) for c in ordered]
    return np.mean(found, axis=0)


def finals(rows: Observations, schedules: dict[str, str], fit: Fit) -> dict[str, dict]:
    """Schedule -> final loss, measured over seeds and predicted [nat/token]."""
    table = {}
    for name in COMPARED:
        runs = of(rows, schedules, name)
        last = runs.where(runs["tokens"] == runs["tokens"].max())
        one = last.where(np.array([0]))
        table[name] = {
            "measured": last["loss"].tolist(),
            "predicted": float(fit.predict(one)[0]),
            "draws": fit.predict_draws(one)[:, 0],
        }
    return table


def judge(tables: list[dict[str, dict]]) -> dict:
    """Predicted and measured best of COMPARED by the sum of the given corpora, with the seeds' error of the lead."""
    predicted = {name: sum(t[name]["predicted"] for t in tables) for name in COMPARED}
    by_seed = {name: np.sum([t[name]["measured"] for t in tables], axis=0) for name in COMPARED}
    draws = np.array([sum(t[name]["draws"] for t in tables) for name in COMPARED])
    order = sorted(COMPARED, key=lambda name: by_seed[name].mean())
    best = min(predicted, key=predicted.__getitem__)
    lead = by_seed[order[1]] - by_seed[order[0]]  # the same seeds: paired
    error = lead.std(ddof=1) / np.sqrt(len(lead)) if len(lead) > 1 else float("nan")
    return {
        "predicted_best": best,
        "measured_best": order[0],
        "agree": best == order[0],
        "predicted": {name: round(value, 4) for name, value in predicted.items()},
        "measured": {name: round(float(x.mean()), 4) for name, x in by_seed.items()},
        "lead": round(float(lead.mean()), 4),
        "lead_standard_error": None if np.isnan(error) else round(float(error), 4),
        "share_of_draws": round(float(np.mean(np.array(COMPARED)[draws.argmin(axis=0)] == best)), 3),
    }


def chart(rows: Observations, schedules: dict[str, str], fits: dict[str, Fit]) -> Chart:
    """A panel a corpus: measured losses of every seed, the law through them, its 90 % band where it was not fitted."""
    panels = []
    for domain, fit in fits.items():
        marks = []
        for name, colour in COLOURS.items():
            own = of(rows.of_domain(domain), schedules, name)
            marks.append(Points(own["step"], own["loss"], f"{name}, measured", colour, size=2.2))
            one = own.where(own.run == own.run[0])
            one = one.where(np.argsort(one["step"]))
            low, high = np.quantile(fit.predict_draws(one), [0.05, 0.95], axis=0) if name == HELD_OUT else (None, None)
            marks.append(Line(one["step"], fit.predict(one), name, colour, name != HELD_OUT, low=low, high=high))
        axes = Axis("step", log=True, counts=True), Axis("loss", "nat/token")
        panels.append(
            Panel(f"{NAMES.get(domain, domain)}: law (lines), runs (dots)", f"Loss on {domain} by step", *axes, marks)
        )
    return Chart("curves", "Curves", "Cosine was not fitted; its band is of 90 %.", panels)


def main(runs: str, target: Path) -> None:
    """Choose lambda on the fitted runs, fit, predict, judge."""
    objective = {}
    for decay in LAMBDAS:
        rows, schedules = read(runs, decay)
        objective[decay] = sum(fitted(rows, schedules, name, 0).objective for name in rows.domains)
    decay = min(objective, key=objective.__getitem__)
    rows, schedules = read(runs, decay)
    answer: dict = {
        "lambda": decay,
        "objective_by_lambda": {f"{x:g}": float(f"{value:.4g}") for x, value in objective.items()},
        "num_runs": len(schedules), "heldout_r2": {}, "heldout_r2_by_run": {}, "heldout_r2_of_mean": {},
        "heldout_r2_same_seed": {}, "heldout_r2_ceiling": {}, "heldout_r2_other_ways": {},
        "heldout_rmse": {}, "fitted_r2": {}, "seed_noise": {}, "baselines_r2": {}, "parameters": {}, "best": {},
    }  # fmt: skip
    tables, fits = {}, {}
    for name in rows.domains:
        fit = fits[name] = fitted(rows, schedules, name, DRAWS)
        own = rows.of_domain(name)
        held, constant = (of(own, schedules, which) for which in (HELD_OUT, "constant"))
        predicted, loss = fit.predict(held), held["loss"]
        answer["heldout_r2"][name] = round(r2(loss, predicted), 5)
        each = [held.run == run for run in np.unique(held.run)]
        answer["heldout_r2_by_run"][name] = [round(r2(loss[rows_of], predicted[rows_of]), 5) for rows_of in each]
        at_step = [held["step"] == step for step in np.unique(held["step"])]
        means = (np.array([x[rows_of].mean() for rows_of in at_step]) for x in (loss, predicted))
        answer["heldout_r2_of_mean"][name] = round(r2(*means), 5)
        answer["heldout_r2_same_seed"][name] = round(r2(loss, same_seed(held, constant, fit)), 5)
        answer["heldout_r2_ceiling"][name] = ceiling(loss, fit.seed_noise)
        answer["heldout_r2_other_ways"][name] = other_ways(runs, schedules, name)
        answer["heldout_rmse"][name] = round(float(np.sqrt(np.mean((predicted - loss) ** 2))), 5)
        answer["fitted_r2"][name] = round(fit.r2, 5)
        answer["seed_noise"][name] = None if fit.seed_noise is None else round(fit.seed_noise, 5)
        answer["baselines_r2"][name] = {
            "constant run at the same step": round(r2(loss, at_same(held, constant, "step")), 5),
            "constant run at the same S1": round(r2(loss, at_same(held, constant, "lr_area")), 5),
            "WSD 0.5 run at the same step": round(r2(loss, at_same(held, of(own, schedules, "wsd 0.5"), "step")), 5),
        }
        answer["parameters"][name] = {key: float(f"{value:.4g}") for key, value in fit.parameters.items()}
        tables[name] = finals(own, schedules, fit)
        answer["best"][name] = judge([tables[name]])
    answer["best"]["sum of corpora"] = judge(list(tables.values()))
    write_whole(target, answer)
    (target.parent / "figures").mkdir(exist_ok=True)
    save_png(chart(rows, schedules, fits), target.parent / "figures")


if __name__ == "__main__":
    with one_sentence():
        runs = argument(1, "the folder of the runs")
        main(runs, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "answer.json")
