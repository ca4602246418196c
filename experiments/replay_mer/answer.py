"""Write answer.json and figures/ beside this file: the replay curve, and MER against plain replay at smaller LRs.

Usage: python experiments/replay_mer/answer.py runs/replay_mer [folder]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.over_seeds import BySeed, OverSeeds, by_setting, change, each, error_bars, over_seeds
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Line, Mark, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR, MUTED

OLD, NEW = change("general"), change("code")  # prose is the base's text, code the new one
# 405M parameters, Pile -> German (Ibrahim et al. 2024, arXiv 2403.08763): share -> (old loss, new loss); base old 2.17
PUBLISHED = {
    0: (3.56, 1.11),
    0.01: (2.83, 1.12),
    0.05: (2.57, 1.12),
    0.1: (2.46, 1.13),
    0.25: (2.33, 1.16),
    0.5: (2.24, 1.22),
}
PUBLISHED_BASE = 2.17


class Way(NamedTuple):
    """rate: MER's epsilon, 1 of plain replay."""

    share: float
    rate: float
    peak_lr: float


def way(config: Mapping[str, Any]) -> Way:
    """How a run replayed."""
    replay = config["replay"]
    rate = float(replay["rate"]) if replay["variant"] == "mer" else 1.0
    return Way(float(replay["replay_share"]), rate, float(config["optimizer"]["peak_lr"]))


def removed(runs: BySeed, without: BySeed) -> OverSeeds:
    """Share of the rise on prose that replay takes away: 1 - rise / rise without replay, seed by seed."""
    rise, whole = each(runs, OLD), each(without, OLD)
    return over_seeds({seed: 1 - rise[seed] / whole[seed] for seed in rise})


def at_same_learned(runs: BySeed, family: list[BySeed]) -> tuple[OverSeeds | None, int]:
    """Rise on prose minus that of plain replay which learned as much, seed by seed, and in how many seeds one did.

    The family is plain replay of the same share at several LRs, and the base itself, which learned and lost nothing;
    between them straight lines. None unless every seed lies within its family.
    """
    found = {}
    for seed, run in runs.items():
        points = sorted([(0.0, 0.0), *((-NEW(other[seed]), OLD(other[seed])) for other in family)])
        learned, rise = np.array(points).T
        if learned[0] <= -NEW(run) <= learned[-1]:
            found[seed] = OLD(run) - float(np.interp(-NEW(run), learned, rise))
    return (over_seeds(found) if len(found) == len(runs) else None), len(found)


def describe(runs: BySeed) -> dict[str, Any]:
    """Rise on prose, forgetting (docs/metrics.md) and what was learned of code."""
    forgetting = each(runs, lambda run: run.losses["general"].forgetting.value)  # type: ignore[union-attr]
    return {
        "prose": over_seeds(each(runs, OLD)).to_json(),
        "forgetting": over_seeds(forgetting).to_json(),
        "code": over_seeds(each(runs, NEW)).to_json(),
    }


def replay_chart(curve: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Both losses over the share of replay, and the share of forgetting that it removes."""
    names = list(curve)
    at = np.arange(len(names), dtype=float)
    axis = Axis("share of replay", names=names)
    both: list[Mark] = [Rule("y", 0, "base")]
    for key, colour, marker in (("prose", FOUR[0], "o"), ("code", FOUR[1], "s")):
        value, error = error_bars([one[key] for one in curve.values()])
        both += [Line(at, value, key, colour), Points(at, value, key, colour, marker, y_error=error)]
    value, error = error_bars([curve[name]["removed"] for name in names[1:]])
    published = np.array([curve[name]["published_removed"] for name in names[1:]])
    marks: list[Mark] = [
        Points(at[1:], value, "here", FOUR[0], "o", 6, y_error=error, legend=True),
        Points(at[1:], published, "405M, Pile to German", FOUR[1], "s", 6, hollow=True, legend=True),
    ]
    y, share = Axis("loss − base loss", "nat/token"), Axis("1 − rise / rise without replay", low=0, high=1.05)
    panels = [
        Panel("Loss at the end", "Change of both losses", axis, y, both),
        Panel("Share of the forgetting removed", "Here and published", axis, share, marks),
    ]
    return Chart("replay_curve", "Replay", "95 % intervals over seeds.", panels)


def frontier_chart(found: Mapping[Way, BySeed], peak: float) -> Chart:
    """What was lost against what was learned; lines join plain replay of one share at falling LRs and the base."""
    marks: list[Mark] = []
    shares = sorted({key.share for key in found if key.rate < 1})
    for share, colour in zip(shares, FOUR, strict=False):
        for rate, marker in ((1.0, "o"), (0.5, "^"), (0.1, "v")):
            keys = sorted(key for key in found if key.share == share and key.rate == rate)
            if not keys:
                continue
            learned = [over_seeds(each(found[key], lambda run: -NEW(run))) for key in keys]
            lost = [over_seeds(each(found[key], OLD)) for key in keys]
            x, x_error = error_bars(learned)
            y, y_error = error_bars(lost)
            if rate == 1:
                line = np.array(sorted([(0.0, 0.0), *zip(x, y, strict=True)])).T
                marks.append(Line(line[0], line[1], f"replay {share:.0%}", colour))
            name = "plain, three LRs" if rate == 1 else f"MER, ε = {rate:g}"
            legend = share == shares[0]
            marks.append(Points(x, y, name, colour, marker, 6, rate < 1, x_error, y_error, legend=legend))
    axes = Axis("fall of the loss on code", "nat/token"), Axis("rise of the loss on prose", "nat/token")
    panel = Panel("Lost against learned", "Every way", *axes, [Rule("y", 0, "", MUTED), *marks])
    return Chart("frontier", f"MER against smaller LRs than {peak:g}", "95 % intervals.", [panel], columns=1)


def main(path: str, target: Path) -> None:
    """Read, compare, draw."""
    found: dict[Way, BySeed] = dict(by_setting(path, way))
    peak = max(key.peak_lr for key in found)
    plain = {key.share: found[key] for key in sorted(found) if key.rate == 1 and key.peak_lr == peak}
    answer: dict[str, Any] = {
        "num_runs": sum(map(len, found.values())),
        "peak_lr": peak,
        "replay_curve": {},
        "ways": {},
    }
    for share, runs in plain.items():
        old, new = PUBLISHED[share]
        answer["replay_curve"][f"{share:.0%}"] = describe(runs) | {
            "removed": removed(runs, plain[0.0]).to_json(),
            "published_removed": round((PUBLISHED[0][0] - old) / (PUBLISHED[0][0] - PUBLISHED_BASE), 3),
            "code_minus_no_replay": over_seeds(each(runs, NEW), minus=each(plain[0.0], NEW)).to_json(),
            "published_new_minus_no_replay": round(new - PUBLISHED[0][1], 3),
        }
    for key, runs in sorted(found.items()):
        one = describe(runs)
        if key.rate < 1:
            family = [found[other] for other in found if other.share == key.share and other.rate == 1]
            apart, inside = at_same_learned(runs, family)
            one["prose_minus_plain_at_same_learned"] = apart and apart.to_json()
            one["seeds_inside_the_family"] = inside
        answer["ways"][f"replay {key.share:.0%}, epsilon {key.rate:g}, LR {key.peak_lr:g}"] = one
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    for chart in (replay_chart(answer["replay_curve"]), frontier_chart(found, peak)):
        save_png(chart, target / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
