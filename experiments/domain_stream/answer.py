"""Write answer.json and figures/ beside this file: transfer over the streams, with and without replay.

Usage: python experiments/domain_stream/answer.py runs/domain_stream [folder]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.chains import chains
from cptlab.metrics.over_seeds import by_setting, change, each, error_bars, over_seeds, t_interval
from cptlab.metrics.streams import stages_of_runs
from cptlab.metrics.transfer import Transfer, transfer
from cptlab.records.run import write_whole
from cptlab.records.run_folders import load_run, run_folders
from cptlab.report.marks import Axis, Chart, Field, Mark, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR, MUTED

REPLAYS = {"none": "no replay", "reservoir": "reservoir", "fixed": "base's prose"}
MEANS = ("forgetting_mean", "learned", "backward_mean", "forward_mean")
Key = tuple[tuple[str, ...], str]  # order of the domains, replay


def streams(path: Path) -> dict[Key, dict[int, Transfer]]:
    """{(order, replay): {seed: transfer}}. Only whole streams: unfinished ones are an error of stages_of_runs."""
    found: dict[Key, dict[int, Transfer]] = {}
    for chain in chains([load_run(folder) for folder in run_folders(str(path))]):
        config = chain[0].facts["config"]
        one = transfer(stages_of_runs(chain))
        key = tuple(one.matrix.trained[1:]), REPLAYS[config["replay"]["variant"]]
        found.setdefault(key, {})[int(chain[0].facts["seed"])] = one
    length = max(len(order) for order, _ in found)
    if short := [key for key in found if len(key[0]) < length]:
        raise SystemExit(f"the stream {short[0]} is not finished; run streams.sh again")
    return dict(sorted(found.items(), key=lambda item: (item[0][0][::-1], list(REPLAYS.values()).index(item[0][1]))))


def final(one: Transfer, corpora: list[str]) -> float:
    """Mean over corpora of the last loss minus the base's [nat/token]."""
    m = one.matrix
    return float(np.mean([m.change(m.last, 0, corpus).value for corpus in corpora]))


def describe(runs: dict[int, Transfer]) -> dict[str, Any]:
    """Means over seeds of one order and replay."""
    m = next(iter(runs.values())).matrix
    gain, low, high = t_interval(np.array([one.gain for one in runs.values()]))
    return {
        **{name: over_seeds({s: getattr(one, name).value for s, one in runs.items()}).to_json() for name in MEANS},
        **{
            name: {
                corpus: over_seeds({seed: getattr(one, name)[corpus].value for seed, one in runs.items()}).to_json()
                for corpus in getattr(next(iter(runs.values())), name)
            }
            for name in ("forgetting", "backward", "forward")
        },
        "final": {c: over_seeds({seed: final(one, [c]) for seed, one in runs.items()}).to_json() for c in m.corpora},
        "domains_final": over_seeds({seed: final(one, list(m.trained[1:])) for seed, one in runs.items()}).to_json(),
        "gain": {"rows": list(m.trained[1:]), "columns": list(m.corpora), "value": gain.round(4).tolist(),
                 "low": low.round(4).tolist(), "high": high.round(4).tolist()},
    }  # fmt: skip


def against(runs: dict[int, Transfer], plain: dict[int, Transfer], domains: list[str], base: str) -> dict[str, Any]:
    """A stream with replay minus the same without, seed by seed; removed: share of the forgetting taken away."""
    values = lambda of, name: {seed: getattr(one, name).value for seed, one in of.items()}  # noqa: E731
    domain = lambda of: {s: np.mean([one.forgetting[d].value for d in domains[:-1]]) for s, one in of.items()}  # noqa: E731
    prose = lambda of: {seed: final(one, [base]) for seed, one in of.items()}  # noqa: E731
    removed = lambda of: {s: 1 - of(runs)[s] / of(plain)[s] for s in runs}  # noqa: E731
    return {
        "learned": over_seeds(values(runs, "learned"), minus=values(plain, "learned")).to_json(),
        "backward_mean": over_seeds(values(runs, "backward_mean"), minus=values(plain, "backward_mean")).to_json(),
        "domains_forgetting_removed": over_seeds(removed(domain)).to_json(),
        "prose_rise_removed": over_seeds(removed(prose)).to_json(),
    }


def gain_chart(found: dict[str, dict[str, Any]]) -> Chart:
    """The transfer matrix of every order and replay."""
    panels = []
    bound = max(float(np.abs(one["gain"]["value"]).max()) for one in found.values())
    for name, one in found.items():
        rows, columns = one["gain"]["rows"], one["gain"]["columns"]
        axes = (
            Axis("corpus", names=columns),
            Axis("trained on", names=[f"{i}. {r}" for i, r in enumerate(rows, 1)][::-1]),
        )
        x, y = (np.arange(len(names), dtype=float) for names in (columns, rows))
        field = Field(
            x, y, np.array(one["gain"]["value"])[::-1], "gain", "nat/token", limits=(-bound, bound), symmetric=False
        )
        panels.append(Panel(name, f"Fall of the loss in each stage of {name}", *axes, [field]))
    return Chart("gain", "Gain of each stage", "Fall of the loss [nat/token]: orange learned, blue lost.", panels)


def final_chart(found: dict[str, dict[str, Any]], together: dict[str, Any]) -> Chart:
    """Loss of every corpus at the end of every stream, and of the domains at once."""
    panels = []
    for order in dict.fromkeys(name.rpartition(", ")[0] for name in found):
        ways = {
            name.rpartition(", ")[2]: one["final"] for name, one in found.items() if name.rpartition(", ")[0] == order
        }
        corpora = list(together)
        marks: list[Mark] = [Rule("y", 0, "base")]
        looks = zip([*FOUR[:3], MUTED], "os^D", strict=True)
        for k, ((way, one), (colour, marker)) in enumerate(
            zip({**ways, "all at once": together}.items(), looks, strict=False)
        ):
            at = np.arange(len(corpora), dtype=float) + 0.14 * (k - 1.5)
            value, error = error_bars([one[c] for c in corpora])
            marks.append(Points(at, value, way, colour, marker, 5, y_error=error, legend=True))  # fmt: skip
        y = Axis("final loss − base loss", "nat/token")
        panels.append(Panel(order, f"Final losses of {order}", Axis("corpus", names=corpora), y, marks))
    return Chart("final", "At the end of the stream", "95 % intervals over seeds.", panels)


def main(path: Path, target: Path) -> None:
    """Read, compare, draw."""
    found = streams(path / "streams")
    together = next(iter(by_setting(str(path / "together"), lambda _: "together").values()))
    base, *domains = next(iter(together.values())).curves
    final_together = {corpus: over_seeds(each(together, change(corpus))).to_json() for corpus in (base, *domains)}
    mixed = {seed: float(np.mean([change(d)(run) for d in domains])) for seed, run in together.items()}
    answer: dict[str, Any] = {
        "num_stages": sum(len(order) * len(runs) for (order, _), runs in found.items()), "streams": {},
        "replay_minus_none": {}, "domains_minus_together": {},
        "together": {"final": final_together, "domains_final": over_seeds(mixed).to_json()},
    }  # fmt: skip
    for (order, replay), runs in found.items():
        name = f"{' → '.join(order)}, {replay}"
        answer["streams"][name] = describe(runs)
        own = {seed: final(one, domains) for seed, one in runs.items()}
        answer["domains_minus_together"][name] = over_seeds(own, minus=mixed).to_json()
        if replay != REPLAYS["none"]:
            answer["replay_minus_none"][name] = against(runs, found[order, REPLAYS["none"]], list(order), base)
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    for chart in (gain_chart(answer["streams"]), final_chart(answer["streams"], final_together)):
        save_png(chart, target / "figures")


if __name__ == "__main__":
    with one_sentence():
        runs = Path(argument(1, "the folder of the runs"))
        main(runs, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
