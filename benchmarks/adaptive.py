"""FLOPs of a design that chooses its next run, against uniform grids that reach the same decision.

Made-up worlds (`coverage.py`'s laws, noise and cap; half D-CPT, half three other laws): the share at the largest size
within 0.02 of the truth and a regret under 0.2 % of the loss (a broken cap counts as regret too). Uniform grids are
evenly spaced shares from 0 to 1 over all four sizes (`all sizes`, 1 to 4 seeds; `two seeds`, 2 to 4) or at the asked
size alone (`one size`). Yardsticks:

  told     the smallest uniform grid whose own interval is within the tolerance: what a user sees, as of the design.
  reaches  the smallest uniform grid whose choice meets the truth, by luck too: only hindsight tells it.
  issue    4 sizes x 9 shares x 2 seeds, whether it reaches the decision or not.

The bases of the sizes used are counted on both sides, each BASE times the tokens of a run; the ratio is also given
for bases that exist already. A design that misses the truth counts as ratio 0. `bound` is the ratio of a design that
needed no run at all beside the base of the asked size. The law is polished coarsely: of 29 fits of 10 worlds, the choice
moved by 4e-7 (median), .001 (90 %), .018 (most), half of the interval by 2e-5, .010, .052 (--check-coarse). One JSON line
last.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version

import adaptive_worlds as worlds
import coverage as made
import numpy as np

WAYS = ("utility", "bisect")  # of cptlab; `halving` and `smaller` of adaptive_other.py
GRIDS = ("all sizes", "two seeds", "one size")
FAMILIES = (worlds.UNIFORM, worlds.REPEATED, worlds.UNIFORM)


def one(task):
    """Every way and the uniform grids of one world, but for those that its row has."""
    from adaptive_other import OTHER

    from cptlab.design.replay import replay

    kind, seed, ways, row = task
    worlds.coarse()
    world = worlds.World(kind, seed)
    row = row | {"kind": kind, "seed": seed, "truth": world.truth}
    for way in [way for way in ways if way not in row]:
        before = time.perf_counter()
        if way in OTHER:
            points, share, enough = OTHER[way](world)
        else:
            here = worlds.spaces(made.SIZES[-1:])[0]
            options = {"tolerance": worlds.TOLERANCE, "way": way, "num_draws": worlds.DRAWS, "most": 30}
            last = replay(here, world.measure, worlds.asked(), **options)[-1]
            points, share, enough = last.points, last.choice.get("domain_share", np.nan), last.enough
        row[way] = worlds.cost_of(points) | {
            "enough": enough, "share": share, "right": world.is_right(share), "seconds": time.perf_counter() - before,
        }  # fmt: skip
    families = zip(GRIDS, (made.SIZES, made.SIZES, made.SIZES[-1:]), FAMILIES, strict=True)
    return {name: worlds.uniform(world, sizes, family) for name, sizes, family in families if name not in row} | row


def check_coarse(tasks):
    """How far the choice and the half width move by the coarse solver: the asked size's and all sizes' grids."""
    from cptlab.design.replay import judged

    moved, widths = [], []
    for kind, seed, *_ in tasks:
        world = worlds.World(kind, seed)
        for sizes, shares in ((made.SIZES[-1:], 4), (made.SIZES[-1:], 7), (made.SIZES, 5)):
            table = world.measure(worlds.points_of_grid(sizes, shares, 1))
            usual = judged(table, worlds.asked(), "dcpt", worlds.DRAWS, 0)
            back = worlds.coarse()
            rough = judged(table, worlds.asked(), "dcpt", worlds.DRAWS, 0)
            back()
            if usual and rough and usual.choice and rough.choice:
                moved.append(abs(usual.choice["domain_share"] - rough.choice["domain_share"]))
                widths.append(abs(np.subtract(*usual.intervals["domain_share"][::-1]) / 2
                                  - np.subtract(*rough.intervals["domain_share"][::-1]) / 2))  # fmt: skip
    quantiles = {str(q): [float(np.quantile(x, q)) for x in (moved, widths)] for q in (0.5, 0.9, 1.0)}
    return {"fits": len(moved), "choice and half width moved, by quantile": quantiles}


def ratios(rows, way, grid, yardstick, cost):
    """Uniform over adaptive FLOPs of the worlds where such a grid was found; 0 where the design misses."""
    found = []
    for row in [row for row in rows if way == "bound" or way in row]:
        told = worlds.cost_of(ISSUE) if yardstick == "issue" else row[grid][yardstick]
        if told is not None:
            own = BASE_ALONE if way == "bound" else row[way][cost]
            found.append(told[cost] / own if way == "bound" or row[way]["right"] else 0.0)
    return np.array(found)


ISSUE = worlds.points_of_grid(made.SIZES, 9, 2)
BASE_ALONE = 6 * made.SIZES[-1] * worlds.BASE * made.TOKENS[-1]


def summary(rows, ways):
    """For each way: how often it stops, is right; runs; median, worst and number of ratios by each yardstick."""
    result = {}
    ways = [way for way in ways if any(way in row for row in rows)]
    for way in ways:
        own = [row[way] for row in rows if way in row]
        result[way] = {
            "enough": round(float(np.mean([x["enough"] for x in own])), 3),
            "right": round(float(np.mean([x["right"] for x in own])), 3),
            "runs": float(np.median([x["runs"] for x in own])), "most_runs": max(x["runs"] for x in own),
            "seconds": round(float(np.median([x["seconds"] for x in own])), 2),
        }  # fmt: skip
    for way in (*ways, "bound"):
        for grid in GRIDS:
            for yardstick in ("told", "reaches"):
                for cost in ("flops", "free") if way != "bound" else ("flops",):
                    _put(result, rows, way, grid, yardstick, cost)
        for cost in ("flops", "free") if way != "bound" else ("flops",):
            _put(result, rows, way, "all sizes", "issue", cost)
    for grid in GRIDS:
        told = [row[grid]["told"] for row in rows if row[grid]["told"]]
        if told:
            result[f"told grids right, {grid}"] = round(float(np.mean([x["right"] for x in told])), 3)
            result[f"told grids, runs, {grid}"] = float(np.median([x["runs"] for x in told]))
    return result


def _put(result, rows, way, grid, yardstick, cost):
    found = ratios(rows, way, grid, yardstick, cost)
    key = f"{grid}, {yardstick}, {'bases counted' if cost == 'flops' else 'bases exist'}"
    numbers = [np.median(found), found.min()] if len(found) else [np.nan, np.nan]
    result.setdefault(way, {})[key] = [round(float(x), 2) for x in numbers] + [len(found)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ways", default=",".join(WAYS), help="of utility, bisect, halving, smaller")
    parser.add_argument("--out", default="", help="JSON lines; what it holds is not run again")
    parser.add_argument("--check-coarse", action="store_true", help="only what the coarse solver changes")
    parser.add_argument("--records", default="", help="folder of runs to replay designs on, instead of made-up worlds")
    parser.add_argument("--rise", type=float, default=0.03, help="cap on the general rise, with --records")
    parser.add_argument("--tolerance", type=float, default=worlds.TOLERANCE, help="with --records")
    parser.add_argument("--base-tokens", type=float, default=0.0, help="tokens of each base, with --records")
    options = parser.parse_args()
    ways = options.ways.split(",")
    if options.records:
        from adaptive_records import replayed

        found = replayed(options.records, options.rise, options.tolerance, options.base_tokens, WAYS)
        print(json.dumps(found, default=float))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    kinds = [kind for wrong in made.WRONG for kind in ("dcpt", wrong)]
    rows = {}
    if options.out and os.path.exists(options.out):
        with open(options.out, encoding="utf-8") as file:
            rows = {(row["kind"], row["seed"]): row for row in map(json.loads, file)}
    keys = [(kinds[i % len(kinds)], i // len(kinds) + 1000 * (i % len(kinds))) for i in range(options.grids)]
    tasks = [(*key, ways, rows.get(key, {})) for key in keys]
    if options.check_coarse:
        print(json.dumps(check_coarse(tasks)))
        return
    with ProcessPoolExecutor(options.workers) as pool:
        for row in pool.map(one, [task for task in tasks if not {*ways, *GRIDS} <= task[3].keys()]):
            rows[row["kind"], row["seed"]] = row
            if options.out:
                with open(options.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    rows = list(rows.values())
    for kind in made.LAWS:
        if some := [row for row in rows if row["kind"] == kind]:
            print(kind, len(some), json.dumps(summary(some, ways)))
    found = summary(rows, ways)
    median, worst, number = found[ways[0]]["all sizes, told, bases counted"]
    print(
        json.dumps({
            "claim": "same decision for fewer FLOPs than a uniform grid", "ours": 1.0, "theirs": median,
            "peer": "smallest uniform grid over four sizes that knows its answer", "unit": "FLOPs", "ratio": median,
            "worst": worst, "grids": number, "way": ways[0], "base_over_run_tokens": worlds.BASE, "all": found,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": {"numpy": version("numpy")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
