"""Made-up worlds for adaptive.py: a truth of coverage.py's laws, runs drawn from it, and uniform grids of such runs."""

import coverage as made
import numpy as np

TOLERANCE, REGRET = 0.02, 0.002
BASE = 10.0  # tokens of a base over those of a run
DRAWS = 60
# (shares, seeds) of uniform grids, by their runs; and those a user runs who measures the noise of seeds too
UNIFORM = ((3, 1), (5, 1), (7, 1), (9, 1), (13, 1), (9, 2), (17, 2), (17, 4))
REPEATED = ((3, 2), (5, 2), (7, 2), (9, 2), (13, 2), (17, 2), (17, 4))


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
        """Rows of some points, as `fit` takes them."""
        rows = [row for point in points for row in self._rows(point)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

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


def asked(num_params=made.SIZES[-1]):
    """The question."""
    from cptlab.decisions.tradeoff import Tradeoff

    return Tradeoff(general="general", domain="domain", max_general_rise=made.RISE, num_params=num_params)


def spaces(sizes):
    """The design's space, and the same with bases that exist."""
    from cptlab.design.space import Space, even_shares

    tokens = (made.TOKENS[-1],)
    base = {n: 6 * n * BASE * made.TOKENS[-1] for n in sizes}
    args = (tuple(sizes), tokens, even_shares())
    return Space(*args, base_flops=base), Space(*args)


def points_of_grid(sizes, shares, seeds):
    """A uniform grid."""
    from cptlab.design.space import Point

    return [
        Point(n, made.TOKENS[-1], float(r), seed)
        for n in sizes for r in np.linspace(0, 1, shares) for seed in range(seeds)
    ]  # fmt: skip


def cost_of(points):
    """FLOPs with the bases of the sizes used and without, and runs."""
    counted, free = spaces(made.SIZES)
    return {"flops": float(counted.total(points)), "free": float(free.total(points)), "runs": len(points)}


def uniform(world, sizes, family):
    """The smallest grids of a family that are told, that reach: their cost and whether they are right; else None."""
    from cptlab.design.replay import judged
    from cptlab.design.stop import is_enough

    found = {"told": None, "reaches": None}
    for shares, seeds in family:
        points = points_of_grid(sizes, shares, seeds)
        now = judged(world.measure(points), asked(), "dcpt", DRAWS, 0)
        right = now is not None and world.is_right(now.choice.get("domain_share", np.nan))
        cost = cost_of(points) | {"right": right}
        if right and found["reaches"] is None:
            found["reaches"] = cost
        if now is not None and is_enough(now, TOLERANCE) and found["told"] is None:
            found["told"] = cost
        if None not in found.values():
            break
    return found


def coarse():
    """Fewer starts and rounds of the solver, for thousands of fits; returns what puts the usual ones back."""
    from cptlab.fitting import polish, solve

    usual = polish.polish.__defaults__, polish.TOLERANCE, polish.SMALL_GAIN, polish.PATIENCE
    kept = dict(solve.solve.__kwdefaults__)
    polish.polish.__defaults__ = (40,)
    polish.TOLERANCE, polish.SMALL_GAIN, polish.PATIENCE = 1e-7, 1e-5, 2
    solve.solve.__kwdefaults__.update(points=256, kept=16, chosen=3)

    def back():
        polish.polish.__defaults__ = usual[0]
        polish.TOLERANCE, polish.SMALL_GAIN, polish.PATIENCE = usual[1:]
        solve.solve.__kwdefaults__.update(kept)

    return back
