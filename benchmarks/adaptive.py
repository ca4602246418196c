"""FLOPs of a design that chooses its next run, against uniform grids that reach the same decision.

Made-up worlds (`coverage.py`'s laws, noise and cap; half D-CPT, half three other laws): the share at the largest size
within 0.02 of the truth and a regret under 0.2 % of the domain loss (a broken cap counted as regret too). Uniform grids are
evenly spaced shares with 1 to 4 seeds, over all four sizes, or at the asked size alone. Two yardsticks:

  told     the smallest uniform grid whose own interval is within the tolerance: what a user sees, as of the design.
  reaches  the smallest uniform grid that meets the truth, and so do all larger ones: only hindsight tells it.

The bases of the sizes used are counted on both sides, each BASE times the tokens of a run; the ratio is also given
for bases that exist already. The real grid (adaptive_grid/) is replayed the same way; there the truth is the
decision of all its runs. One JSON line last.
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
DRAWS = 100
# (shares, seeds) of uniform grids, by their runs
UNIFORM = ((3, 1), (4, 1), (5, 1), (7, 1), (9, 1), (13, 1), (9, 2), (13, 2), (17, 2), (17, 4))


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
    """FLOPs with bases and without of the smallest grid that is told, that reaches; what was not reached is nan."""
    from cptlab.design.replay import judged
    from cptlab.design.space import Point
    from cptlab.design.stop import half_widths

    counted, free = space
    found = {"told": None, "reaches": None}
    met = True
    for shares, seeds in reversed(UNIFORM):
        points = [
            Point(n, made.TOKENS[-1], float(r), seed)
            for n in sizes for r in np.linspace(0, 1, shares) for seed in range(seeds)
        ]  # fmt: skip
        now = judged(world.measure(points), question, "dcpt", DRAWS, 0)
        share = now.choice.get("domain_share", np.nan) if now else np.nan
        narrow = bool(now and now.choice) and max(half_widths(now.intervals).values()) <= TOLERANCE
        cost = (counted.total(points), free.total(points), len(points), world.is_right(share))
        if narrow:
            found["told"] = cost
        met = met and world.is_right(share)
        if met:
            found["reaches"] = cost
        if not met and not narrow:
            break
    return found


def one(task):
    kind, seed, ways = task
    from cptlab.decisions.tradeoff import Tradeoff
    from cptlab.design.replay import replay

    world = World(kind, seed)
    question = Tradeoff(general="general", domain="domain", max_general_rise=made.RISE, num_params=made.SIZES[-1])
    space = spaces(made.SIZES)
    row = {"kind": kind, "seed": seed, "truth": world.truth}
    for way in ways:
        before = time.perf_counter()
        steps = replay(space[0], world.measure, question, tolerance=TOLERANCE, way=way, num_draws=DRAWS, most=40)
        last = steps[-1]
        share = last.choice.get("domain_share", np.nan)
        row[way] = {
            "flops": last.flops, "free": space[1].total(last.points), "runs": len(last.points), "enough": last.enough,
            "share": share, "right": world.is_right(share), "seconds": (time.perf_counter() - before) / len(steps),
            "points": [[p.num_params, p.share, p.seed] for p in last.points],
        }  # fmt: skip
    row["all sizes"] = uniform(world, space, made.SIZES, question)
    row["one size"] = uniform(world, space, made.SIZES[-1:], question)
    return row
