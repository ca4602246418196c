"""Write answer.json and figures/ beside it: what the order of text and code does, with and without a last code phase.

Usage: python experiments/crystal/answer.py runs/crystal
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.of_run import RunMetrics
from cptlab.metrics.over_seeds import BySeed, OverSeeds, by_setting, each, over_seeds, t_interval
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Line, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR

ORDERS = {0.0: "text first", 0.455: "even", 0.63: "code first"}  # share of code in the first phase -> name
CODE_PHASE, EVEN_END = "then code", "then even"
LOSSES = {"code": ("code",), "prose": ("general",), "sum": ("code", "general")}
PHASE = 0.9  # share of the tokens after which the last phase begins
Runs = Mapping[tuple[str, str], BySeed]


def setting(config: Mapping[str, Any]) -> tuple[str, str]:
    """Order, and how the run ends."""
    first, _, last = config["mixture"]["domain_shares"]
    return ORDERS[first], CODE_PHASE if last == 0.9 else EVEN_END


def loss(name: str, before: bool = False) -> Callable[[RunMetrics], float]:
    """A run's loss [nat/token] on one of LOSSES: the last, or the last before the last phase."""

    def of(run: RunMetrics) -> float:
        total = 0.0
        for corpus in LOSSES[name]:
            curve = run.curves[corpus]
            at = np.flatnonzero(curve.tokens <= PHASE * curve.tokens[-1])[-1] if before else -1
            total += float(curve.loss[at])
        return total

    return of


def orders(runs: Runs, end: str, before: bool) -> dict[str, Any]:
    """Mean loss of each order, and the two others minus even, over the seeds."""
    found: dict[str, Any] = {}
    for name in LOSSES:
        values = {order: each(runs[order, end], loss(name, before)) for order in ORDERS.values()}
        found[name] = {order: over_seeds(x).to_json() for order, x in values.items()} | {
            f"{order} − even": over_seeds(x, values["even"]).to_json() for order, x in values.items() if order != "even"
        }
    return found


def gains(runs: Runs) -> tuple[dict[str, Any], dict[str, dict[str, OverSeeds]]]:
    """What the code phase changes after each order, and how much more than after even (the interaction)."""
    table: dict[str, Any] = {}
    drawn: dict[str, dict[str, OverSeeds]] = {}
    for name in LOSSES:
        change = {}
        for order in ORDERS.values():
            with_phase, without = (each(runs[order, end], loss(name)) for end in (CODE_PHASE, EVEN_END))
            change[order] = {seed: with_phase[seed] - without[seed] for seed in with_phase}
        drawn[name] = {order: over_seeds(x) for order, x in change.items()}
        table[name] = {order: x.to_json() for order, x in drawn[name].items()} | {
            f"{order} − even": over_seeds(x, change["even"]).to_json() for order, x in change.items() if order != "even"
        }
    return table, drawn


def curves(runs: Runs) -> Chart:
    """Both losses along the runs that end with code."""
    panels = []
    for name in ("code", "prose"):
        marks: list[Line | Rule] = []
        for order, colour in zip(ORDERS.values(), FOUR, strict=False):
            own = [run.curves[LOSSES[name][0]] for run in runs[order, CODE_PHASE].values()]
            mean, low, high = t_interval(np.array([curve.loss[1:] for curve in own]))
            marks.append(Line(own[0].tokens[1:], mean, order, colour, low=low, high=high))
        end = Rule("x", PHASE * next(iter(runs["even", CODE_PHASE].values())).tokens, "code phase")
        axes = Axis("tokens", counts=True), Axis("loss", "nat/token")
        panels.append(Panel(f"Loss on {name}", f"Loss on {name} by tokens", *axes, [end, *marks]))
    return Chart("curves", "Curves", "Means and 95 % intervals over seeds.", panels)


def phase_chart(drawn: Mapping[str, Mapping[str, OverSeeds]]) -> Chart:
    """What the last phase gains on code and costs on prose, order by order."""
    marks, names = [], list(ORDERS.values())
    for shift, name, colour, marker in ((-0.1, "code", FOUR[0], "o"), (0.1, "prose", FOUR[1], "s")):
        found = [drawn[name][order] for order in names]
        value = np.array([x.value for x in found])
        error = np.array([[x.value - x.low, x.high - x.value] for x in found]).T
        marks.append(Points(np.arange(3.0) + shift, value, name, colour, marker, 6, y_error=error, legend=True))
    y = Axis("change of the last loss", "nat/token", high=0.15)
    title = "What a last tenth of 90 % code changes"
    panel = Panel(title, "Change by order", Axis("", names=names), y, [Rule("y", 0, ""), *marks])
    return Chart("code_phase", "Code phase", "95 % intervals over paired seeds.", [panel], columns=1)


def main(path: str, target: Path) -> None:
    """Read, compare, draw."""
    runs = by_setting(path, setting)
    table, drawn = gains(runs)
    drawn_shares = {" ".join(key): np.mean([run.shares["code"] for run in own.values()]) for key, own in runs.items()}
    answer = {
        "num_runs": sum(map(len, runs.values())),
        "before_the_last_phase": orders(runs, CODE_PHASE, before=True),
        "at_the_end_with_code_phase": orders(runs, CODE_PHASE, before=False),
        "at_the_end_without": orders(runs, EVEN_END, before=False),
        "change_by_code_phase": table,
        "share_of_code": {key: round(float(share), 4) for key, share in drawn_shares.items()},
    }
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    for chart in (curves(runs), phase_chart(drawn)):
        save_png(chart, target / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
