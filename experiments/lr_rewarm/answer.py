"""Write answer.json and figures/ beside this file: final losses over the height of the re-warm and the share of replay.

Usage: python experiments/lr_rewarm/answer.py runs/lr_rewarm [folder]
"""

import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.over_seeds import BySeed, by_setting, change, each, error_bars, over_seeds
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Line, Mark, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR

CAP = 0.05  # of the base's loss on prose
CORPORA = {"general": "prose", "code": "code"}


class Way(NamedTuple):
    """One re-warm: share of replay, its height (peak LR) and its length [token]."""

    share: float
    peak_lr: float
    length: float


def way(config: Mapping[str, Any]) -> Way:
    """What a run's configuration says of it."""
    length = float(config["lr_schedule"]["warmup_tokens"])
    return Way(float(config["replay"]["replay_share"]), float(config["optimizer"]["peak_lr"]), length)


def cap(runs: BySeed) -> float:
    """The rise on prose that is allowed [nat/token]; every run starts from the one base."""
    return CAP * float(next(iter(runs.values())).curves["general"].loss[0])


def best_under_cap(column: Mapping[Way, BySeed]) -> dict[str, Any] | None:
    """The height with the lowest loss on code whose mean rise on prose keeps the cap; None where none does."""
    kept = {}
    for key, runs in column.items():
        rise = over_seeds(each(runs, change("general")))
        if rise.value <= cap(runs):
            kept[key] = (over_seeds(each(runs, change("code"))), rise)
    if not kept:
        return None
    best = min(kept, key=lambda key: kept[key][0].value)
    code, rise = kept[best]
    return {
        "peak_lr": best.peak_lr,
        "code": code.to_json(),
        "prose": rise.to_json(),
        "perhaps": rise.high > cap(column[best]),
    }


def growth(column: Mapping[Way, BySeed], corpus: str) -> dict[str, Any]:
    """Final loss at the highest re-warm minus that at the lowest, seed by seed."""
    low, high = min(column), max(column)
    return over_seeds(each(column[high], change(corpus)), minus=each(column[low], change(corpus))).to_json()


def next_height(column: Mapping[Way, BySeed], corpus: str) -> dict[str, Any]:
    """Final loss at each re-warm minus that at the next lower one, seed by seed."""
    keys = sorted(column)
    return {
        f"{high.peak_lr:g} - {low.peak_lr:g}": over_seeds(
            each(column[high], change(corpus)), minus=each(column[low], change(corpus))
        ).to_json()
        for low, high in pairwise(keys)
    }


def chart(columns: Mapping[float, Mapping[Way, BySeed]]) -> Chart:
    """Both losses over the height, a line a share of replay."""
    panels = []
    for corpus, name in CORPORA.items():
        marks: list[Mark] = [Rule("y", 0, "base")]
        for (share, column), colour, marker in zip(columns.items(), FOUR, "os^D", strict=False):
            keys = sorted(column)
            x = np.array([key.peak_lr for key in keys])
            found = [over_seeds(each(column[key], change(corpus))) for key in keys]
            y, error = error_bars(found)
            marks += [Line(x, y, f"replay {share:.0%}", colour), Points(x, y, "", colour, marker, y_error=error)]
        axes = Axis("height of the re-warm: peak LR", log=True), Axis("loss − base loss", "nat/token")
        panels.append(Panel(f"Final loss on {name}", f"Change of the loss on {name}", *axes, marks))
    return Chart("heights", "Heights of the re-warm", "95 % intervals over seeds.", panels)


def main(path: str, target: Path) -> None:
    """Read, compare, draw."""
    found: dict[Way, BySeed] = dict(by_setting(path, way))
    shares = sorted({key.share for key in found})
    lengths = [key.length for key in found]
    usual = max(set(lengths), key=lengths.count)
    columns = {s: {key: found[key] for key in sorted(found) if key.share == s and key.length == usual} for s in shares}
    answer: dict[str, Any] = {
        "num_runs": sum(map(len, found.values())),
        "cap": CAP,
        "ways": {},
        "by_replay": {},
        "length": {},
    }
    answer["cap_nat"] = round(cap(found[min(found)]), 4)
    for key in sorted(found):
        name = f"replay {key.share:.0%}, LR {key.peak_lr:g}, length {key.length:g}"
        answer["ways"][name] = {n: over_seeds(each(found[key], change(c))).to_json() for c, n in CORPORA.items()}
    for share, column in columns.items():
        answer["by_replay"][f"{share:.0%}"] = {
            "best_under_cap": best_under_cap(column),
            "lowest_code_at": min(column, key=lambda key: over_seeds(each(column[key], change("code"))).value).peak_lr,
            "highest_minus_lowest_height": {name: growth(column, corpus) for corpus, name in CORPORA.items()},
            "each_height_minus_the_one_below": {name: next_height(column, corpus) for corpus, name in CORPORA.items()},
        }
    for key in sorted(found):
        if key.length != usual:
            other = found[key._replace(length=usual)]
            answer["length"][f"{key.length:g} instead of {usual:g} tokens"] = {
                name: over_seeds(each(found[key], change(corpus)), minus=each(other, change(corpus))).to_json()
                for corpus, name in CORPORA.items()
            }
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    save_png(chart(columns), target / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
