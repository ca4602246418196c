"""Write answer.json and figures/ beside this file: depth, bottom and recovery of the stability gap, way by way.

Usage: python experiments/stability_gap/answer.py runs/stability_gap [folder]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.of_run import RunMetrics
from cptlab.metrics.over_seeds import BySeed, OverSeeds, by_setting, change, each, error_bars, mean_curve, over_seeds
from cptlab.metrics.stability_gap import StabilityGap
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Line, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR, MUTED

WAYS = {  # (mixture, share of code) -> name
    ("static", 0.0): "prose only",
    ("static", 1.0): "code only",
    ("subset_epochs", 1.0): "code, 5 ep.",
    ("static", 0.25): "anchor",
    ("subset_epochs", 0.25): "anchor, 5 ep.",
}
COMPARED = [  # what the claims are about: (shallower?, than)
    ("anchor", "code only"),
    ("code, 5 ep.", "code only"),
    ("anchor, 5 ep.", "anchor"),
]
CORPORA = {"general": "prose", "code": "code"}
COLOURS = dict(zip(WAYS.values(), [MUTED, *FOUR], strict=True))


def way(config: Mapping[str, Any]) -> str:
    """Name of a run's mixture."""
    mixture = config["mixture"]
    return WAYS[mixture["variant"], float(mixture["domain_share"])]


def gap_of(run: RunMetrics, corpus: str) -> StabilityGap:
    """Every run here was measured before its first update."""
    gap = run.gaps[corpus]
    if gap is None:
        raise ValueError(f"run {run.run_id} has no loss before its first update")
    return gap


def depths(runs: BySeed, corpus: str) -> dict[int, float]:
    """Depth of each seed [nat/token], 0 where the loss never rose."""
    return each(runs, lambda run: gap_of(run, corpus).depth.value)


def describe(runs: BySeed, corpus: str) -> dict[str, Any]:
    """The gap of one way and corpus over its seeds; medians of steps are over the seeds that have them."""
    gaps = [gap_of(run, corpus) for run in runs.values()]
    bottoms = [gap.bottom_step for gap in gaps if gap.bottom_step is not None]
    back = [gap.break_even_tokens for gap in gaps if gap.break_even_tokens is not None]
    return {
        "depth": over_seeds(depths(runs, corpus)).to_json(),
        "final": over_seeds(each(runs, change(corpus))).to_json(),
        "dipped": sum(gap.dipped for gap in gaps),
        "clear_in_its_own_rows": sum(gap.is_clear for gap in gaps),
        "recovered": sum(gap.dipped and gap.recovered for gap in gaps),
        "still_rising": sum(gap.still_rising for gap in gaps),
        "bottom_step": median(bottoms) if bottoms else None,
        "break_even_tokens": round(median(back)) if back else None,
    }


def prose_at_code(runs: BySeed, others: BySeed) -> dict[int, float]:
    """Rise on prose of each run where its loss on code is what the other's ended with, between evaluations straight."""
    found = {}
    for seed, run in runs.items():
        prose, code = (run.curves[corpus].loss - run.curves[corpus].loss[0] for corpus in ("general", "code"))
        best = np.minimum.accumulate(code)  # a noisy step up is no return
        found[seed] = float(np.interp(-change("code")(others[seed]), -best, prose))
    return found


def curves(ways: Mapping[str, BySeed]) -> Chart:
    """Both corpora along the runs."""
    panels = []
    for corpus, name in CORPORA.items():
        lines = []
        for key, runs in ways.items():
            tokens, mean, low, high = mean_curve(runs, corpus)
            lines.append(Line(tokens, mean, key, COLOURS[key], dash="5 ep" in key, low=low, high=high))
        axes = Axis("CPT tokens", log=True, counts=True), Axis("loss − base loss", "nat/token")
        panels.append(Panel(f"Loss on {name}", f"Change of the loss on {name}", *axes, [Rule("y", 0, "base"), *lines]))
    return Chart("curves", "Loss along the runs", "Means and 95 % intervals over seeds.", panels)


def depth_chart(found: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Deepest point and end of each way on prose."""
    names = list(found)
    marks = []
    for key, colour, marker, label in (("depth", FOUR[0], "o", "deepest"), ("final", FOUR[1], "s", "at the end")):
        value, error = error_bars([found[name]["general"][key] for name in names])
        at = np.arange(len(names), dtype=float) + (0.12 if key == "final" else -0.12)
        marks.append(Points(value, at, label, colour, marker, 6, x_error=error, legend=True))
    x = Axis("loss on prose − base loss", "nat/token")
    panel = Panel("Prose: deepest point and end", "Depth and end", x, Axis("", names=names), [Rule("x", 0, ""), *marks])
    return Chart("depth", "Depth of the gap", "95 % intervals over seeds.", [panel], columns=1)


def main(path: str, target: Path) -> None:
    """Read, compare, draw."""
    found = by_setting(path, way)
    ways = {name: found[name] for name in WAYS.values()}
    answer: dict[str, Any] = {
        "num_runs": sum(map(len, ways.values())),
        "ways": {name: {corpus: describe(runs, corpus) for corpus in CORPORA} for name, runs in ways.items()},
        "compared": {},
    }
    for one, other in COMPARED:
        differences: dict[str, OverSeeds] = {
            "prose depth": over_seeds(depths(ways[one], "general"), depths(ways[other], "general")),
            "prose at the end": over_seeds(each(ways[one], change("general")), each(ways[other], change("general"))),
            "code at the end": over_seeds(each(ways[one], change("code")), each(ways[other], change("code"))),
        }
        answer["compared"][f"{one} − {other}"] = {name: x.to_json() for name, x in differences.items()}
    same_code = prose_at_code(ways["code only"], ways["anchor"])  # asked after the runs
    answer["code only where it has learned what the anchor learns of code"] = {
        "prose": over_seeds(same_code).to_json(),
        "anchor − code only, prose": over_seeds(each(ways["anchor"], change("general")), same_code).to_json(),
    }
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    for chart in (curves(ways), depth_chart(answer["ways"])):
        save_png(chart, target / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
