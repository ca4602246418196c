"""FLOPs of a design that chooses its next run, against uniform grids that reach the same decision.

Made-up worlds (`coverage.py`'s laws, noise and cap; half D-CPT, half three other laws): the share at the largest size
within 0.02 of the truth and a regret under 0.2 % of the loss (a broken cap counts as regret too). Uniform grids are evenly
spaced shares from 0 to 1 with 1 to 4 seeds, over all four sizes or at the asked size alone. Two yardsticks:

  told     the smallest uniform grid whose own interval is within the tolerance: what a user sees, as of the design.
  reaches  the smallest uniform grid whose choice meets the truth, by luck too: only hindsight tells it.

The bases of the sizes used are counted on both sides, each BASE times the tokens of a run; the ratio is also given
for bases that exist already. A design that misses the truth counts as ratio 0. The law is polished coarsely here
(`coarse`), which changes choices by less than the tolerance. One JSON line last.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version

import coverage as made
import numpy as np

TOLERANCE, REGRET = 0.02, 0.002
BASE = 10.0  # tokens of a base over those of a run
DRAWS = 60
UNIFORM = ((3, 1), (5, 1), (7, 1), (9, 1), (13, 1), (9, 2), (17, 2), (17, 4))  # (shares, seeds), by their runs
WAYS = ("utility", "bisect")


class World:
    """A truth, and runs drawn from it: the same run whenever it is asked for."""

    def __init__(self, kind, seed):
        self.kind, self.seed = kind, seed
        rng = np.random.default_rng([seed, sorted(made.LAWS).index(kind)])
        own, n, d = np.linspace(0, 1, 4001), made.SIZES[-1], made.TOKENS[-1]
        while True:
            self.law = {"general": made.LAWS[kind](rng), "domain": made.LAWS[kind](rng)}
            general, domain = self.law["general"], self.law["domain"]
            aim = rng.uniform(0.1, 0.9)
            self.ratio = general(n, d, 1 - aim) / (1 + made.RISE) / general(n, d, 1.0)
            old, new = general(n, d, 1 - own), domain(n, d, own)
            base = self.ratio * old[0]
            self.truth = float(own[np.argmin(np.where(old <= base * (1 + made.RISE), new, np.inf))])
            if np.all(np.diff(new) < 0) and np.all(np.diff(old) > 0) and 0.1 < self.truth < 0.9:
                break
        self.own, self.old, self.new, self.cap = own, old, new, base * (1 + made.RISE)
        self.effect = {n: {name: rng.normal(0, sd) for name, sd in made.BASE.items()} for n in made.SIZES}

    def measure(self, points):
        columns = {}
        rows = [row for point in points for row in self._rows(point)]
        for name in rows[0]:
            columns[name] = np.array([row[name] for row in rows])
        return columns

    def _rows(self, point):
        n, r = point.num_params, point.share
        for name, own in (("general", 1 - r), ("domain", r)):
            law = self.law[name]
            key = [self.seed, sorted(made.LAWS).index(self.kind), int(n), round(r * 1e4), point.seed, len(name)]
            loss = law(n, made.TOKENS, own) + self.effect[n][name]
            loss = loss + made.noise(np.random.default_rng(key), made.REPEAT[name])
            start = self.ratio * law(n, made.TOKENS[-1], 1.0) if name == "general" else law(n, made.TOKENS[0], 0.0)
            for d, value in zip(made.TOKENS, loss, strict=True):
                if d <= point.tokens * 1.001:
                    yield {
                        "run": f"{n:g}|{r:g}|{point.seed}", "domain": name, "loss": value, "num_params": n, "tokens": d,
                        "domain_share": r, "general_share": 1 - r, "base_loss": start + self.effect[n][name],
                        "base_id": f"{n:g}", "seed": point.seed,
                    }  # fmt: skip

    def is_right(self, share):
        """Within the tolerance, and neither a domain loss lost nor a cap broken by more than the regret."""
        old, new = np.interp(share, self.own, self.old), np.interp(share, self.own, self.new)
        best = np.interp(self.truth, self.own, self.new)
        lost = max(new / best - 1, old / self.cap - 1)
        return bool(abs(share - self.truth) <= TOLERANCE and lost < REGRET)


def spaces(sizes):
    """The design's space, and the same with bases that exist."""
    from cptlab.design.space import Space, even_shares

    tokens = (made.TOKENS[-1],)
    base = {n: 6 * n * BASE * made.TOKENS[-1] for n in sizes}
    args = (tuple(sizes), tokens, even_shares())
    return Space(*args, base_flops=base), Space(*args)


def uniform(world, space, sizes, question):
    """The smallest grids that are told, that reach: FLOPs with bases and without, runs, whether right; else None."""
    from cptlab.design.replay import judged
    from cptlab.design.space import Point
    from cptlab.design.stop import is_enough

    counted, free = space
    found = {"told": None, "reaches": None}
    for shares, seeds in UNIFORM:
        points = [
            Point(n, made.TOKENS[-1], float(r), seed)
            for n in sizes for r in np.linspace(0, 1, shares) for seed in range(seeds)
        ]  # fmt: skip
        now = judged(world.measure(points), question, "dcpt", DRAWS, 0)
        right = now is not None and world.is_right(now.choice.get("domain_share", np.nan))
        cost = {
            "flops": float(counted.total(points)),
            "free": float(free.total(points)),
            "runs": len(points),
            "right": right,
        }
        if right and found["reaches"] is None:
            found["reaches"] = cost
        if now is not None and is_enough(now, TOLERANCE) and found["told"] is None:
            found["told"] = cost
        if None not in found.values():
            break
    return found


def one(task):
    kind, seed = task
    from cptlab.decisions.tradeoff import Tradeoff
    from cptlab.design.replay import replay

    coarse()
    world = World(kind, seed)
    question = Tradeoff(general="general", domain="domain", max_general_rise=made.RISE, num_params=made.SIZES[-1])
    space = spaces(made.SIZES)
    here = spaces(made.SIZES[-1:])[0]
    row = {"kind": kind, "seed": seed, "truth": world.truth}
    for way in WAYS:
        before = time.perf_counter()
        steps = replay(here, world.measure, question, tolerance=TOLERANCE, way=way, num_draws=DRAWS, most=30)
        last = steps[-1]
        share = last.choice.get("domain_share", np.nan)
        row[way] = {
            "flops": float(space[0].total(last.points)), "free": float(space[1].total(last.points)), "runs": len(last.points), "enough": last.enough,
            "share": share, "right": world.is_right(share), "seconds": (time.perf_counter() - before) / len(steps),
            "points": [[float(p.num_params), p.share, p.seed] for p in last.points],
        }  # fmt: skip
    row["all sizes"] = uniform(world, space, made.SIZES, question)
    row["one size"] = uniform(world, space, made.SIZES[-1:], question)
    return row


class Recorded:
    """Runs that were trained: designs are replayed on one size of them, the truth is the decision of all runs."""

    def __init__(self, folder, rise):
        from cptlab.decisions.tradeoff import Tradeoff
        from cptlab.design.propose import points_of
        from cptlab.design.replay import judged
        from cptlab.design.space import Space
        from cptlab.records.read_runs import Runs

        self.rows = Runs(path=folder).read()
        self.points = points_of(self.rows)
        self.size = max(point.num_params for point in self.points)
        self.question = Tradeoff(max_general_rise=rise, num_params=self.size)
        here = [point for point in self.points if point.num_params == self.size]
        shares, sizes = sorted({p.share for p in here}), sorted({p.num_params for p in self.points})
        tokens = here[0].tokens
        self.space = Space((self.size,), (tokens,), tuple(shares), only=frozenset(here))
        self.sizes = sizes
        now = judged(self.rows, self.question, "dcpt", 200, 0)
        self.truth, self.interval = now.choice["domain_share"], now.intervals["domain_share"]

    def measure(self, points):
        """The rows of some points, all of them recorded."""
        wanted = {(p.num_params, p.share, p.seed) for p in points}
        runs = [
            run for run, p in zip(np.unique(self.rows.run), self.points, strict=True)
            if (p.num_params, p.share, p.seed) in wanted
        ]  # fmt: skip
        return self.rows.where(np.isin(self.rows.run, runs))

    def uniform(self, sizes):
        """Every evenly thinned subset of the recorded shares, by its runs, seed 0 alone and then all."""
        shares = sorted({p.share for p in self.points})
        for seeds in (1, 99):
            for step in (4, 3, 2, 1):
                kept = shares[::step]
                some = [p for p in self.points if p.num_params in sizes and p.share in kept and p.seed < seeds]
                if len(kept) > 2:
                    yield some


def replayed(folder, rise, tolerance, base_tokens):
    """Both ways and the uniform subsets on recorded runs, FLOPs with the bases' and without."""
    from cptlab.design.replay import judged, replay
    from cptlab.design.stop import is_enough

    real = Recorded(folder, rise)
    bases = lambda points: sum(6 * n * base_tokens for n in {p.num_params for p in points})  # noqa: E731
    cost = lambda points: sum(p.flops for p in points)  # noqa: E731
    found = {"folder": folder, "runs": len(real.points), "share": real.truth, "interval": real.interval}
    for way in WAYS:
        steps = replay(real.space, real.measure, real.question, tolerance=tolerance, way=way, num_draws=200)
        last = steps[-1]
        found[way] = _facts(last.points, last.choice, last.enough, real, cost, bases)
    for name, sizes in (("all sizes", real.sizes), ("one size", [real.size])):
        found[name] = []
        for points in real.uniform(sizes):
            now = judged(real.measure(points), real.question, "dcpt", 200, 0)
            if now is not None:
                found[name].append(_facts(points, now.choice, is_enough(now, tolerance), real, cost, bases))
    return found


def _facts(points, choice, enough, real, cost, bases):
    share = choice.get("domain_share", np.nan)
    return {
        "runs": len(points), "free": cost(points), "flops": cost(points) + bases(points), "enough": enough,
        "share": round(float(share), 4), "right": bool(abs(share - real.truth) <= TOLERANCE),
    }  # fmt: skip


def coarse():
    """Fewer starts and rounds of the solver, for thousands of fits."""
    from cptlab.fitting import polish, solve

    polish.polish.__defaults__ = (40,)
    polish.TOLERANCE, polish.SMALL_GAIN, polish.PATIENCE = 1e-7, 1e-5, 2
    solve.solve.__kwdefaults__.update(points=256, kept=16, chosen=3)


def ratios(rows, way, sizes, yardstick, cost):
    """Uniform over adaptive FLOPs of each world: 0 where the design misses, the largest grid's where none reaches."""
    found = []
    for row in rows:
        grid = row[sizes][yardstick]
        if grid is not None:
            found.append(grid[cost] / row[way][cost] if row[way]["right"] else 0.0)
    return np.array(found)


def summary(rows):
    """For each way: how often it stops, is right; runs; median and worst ratio against each yardstick."""
    result = {}
    for way in WAYS:
        own = [row[way] for row in rows]
        result[way] = {
            "enough": round(float(np.mean([x["enough"] for x in own])), 3),
            "right": round(float(np.mean([x["right"] for x in own])), 3),
            "runs": float(np.median([x["runs"] for x in own])), "most_runs": max(x["runs"] for x in own),
            "seconds": round(float(np.median([x["seconds"] for x in own])), 2),
        }  # fmt: skip
        for sizes in ("all sizes", "one size"):
            for yardstick in ("told", "reaches"):
                for cost in ("flops", "free"):
                    found = ratios(rows, way, sizes, yardstick, cost)
                    key = f"{sizes}, {yardstick}, {'bases counted' if cost == 'flops' else 'bases exist'}"
                    result[way][key] = [round(float(x), 2) for x in (np.median(found), found.min())] + [len(found)]
    for sizes in ("all sizes", "one size"):
        told = [row[sizes]["told"] for row in rows if row[sizes]["told"]]
        result[f"told grids right, {sizes}"] = round(float(np.mean([x["right"] for x in told])), 3)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default="", help="JSON lines; worlds that it holds are not run again")
    parser.add_argument("--records", default="", help="folder of runs to replay designs on, instead of made-up worlds")
    parser.add_argument("--rise", type=float, default=0.03, help="cap on the general rise, with --records")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="with --records")
    parser.add_argument("--base-tokens", type=float, default=0.0, help="tokens of each base, with --records")
    options = parser.parse_args()
    if options.records:
        found = replayed(options.records, options.rise, options.tolerance, options.base_tokens)
        print(json.dumps(found, default=float))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    kinds = [kind for wrong in made.WRONG for kind in ("dcpt", wrong)]
    tasks = [(kinds[i % len(kinds)], i // len(kinds) + 1000 * (i % len(kinds))) for i in range(options.grids)]
    rows = []
    if options.out and os.path.exists(options.out):
        with open(options.out, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    known = {(row["kind"], row["seed"]) for row in rows}
    with ProcessPoolExecutor(options.workers) as pool:
        for row in pool.map(one, [task for task in tasks if task not in known]):
            rows.append(row)
            if options.out:
                with open(options.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    for kind in made.LAWS:
        if some := [row for row in rows if row["kind"] == kind]:
            print(kind, len(some), json.dumps(summary(some)))
    found = summary(rows)
    median, worst, number = found["bisect"]["all sizes, told, bases counted"]
    print(
        json.dumps({
            "claim": "same decision for fewer FLOPs than a uniform grid", "ours": 1.0, "theirs": median,
            "peer": "smallest uniform grid over four sizes that knows its answer", "unit": "FLOPs", "ratio": median,
            "worst": worst, "grids": number, "base_over_run_tokens": BASE, "all": found,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": {"numpy": version("numpy")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
