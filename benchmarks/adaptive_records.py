"""Designs replayed on runs that were trained, for adaptive.py: the truth is the decision of all of them."""

import adaptive_other as other
import numpy as np

DRAWS = 200


class Recorded:
    """Runs in a folder: designs are replayed on the largest size of them."""

    def __init__(self, folder, rise):
        from cptlab.design.propose import points_of
        from cptlab.design.replay import judged
        from cptlab.design.space import Space
        from cptlab.records.read_runs import Runs

        self.rows, self.rise = Runs(path=folder).read(), rise
        self.points = points_of(self.rows)
        self.size = max(point.num_params for point in self.points)
        self.question = self.asked(self.size)
        here = [point for point in self.points if point.num_params == self.size]
        shares = sorted({p.share for p in here})
        self.sizes = sorted({p.num_params for p in self.points})
        self.space = Space((self.size,), (here[0].tokens,), tuple(shares), only=frozenset(here))
        now = judged(self.rows, self.question, "dcpt", DRAWS, 0)
        self.truth, self.interval = now.choice["domain_share"], now.intervals["domain_share"]

    def asked(self, num_params):
        """The question at a size."""
        from cptlab.decisions.tradeoff import Tradeoff

        return Tradeoff(max_general_rise=self.rise, num_params=num_params)

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

    def extrapolated(self):
        """What all runs of the smaller sizes say of the largest, by a line over log N, and each size's own choice."""
        below = self.sizes[:-1]
        points = [p for p in self.points if p.num_params in below]
        told = other.told_by(self.measure(points), self.asked, below, DRAWS)
        if told is None:
            return None
        share, spread = other.line(below, *told, self.size)
        own = {f"{n:g}": round(float(x), 4) for n, x in zip(below, told[0], strict=True)}
        return {"share": round(share, 4), "spread": round(spread, 4), "own": own}


def replayed(folder, rise, tolerance, base_tokens, ways):
    """Designs and uniform subsets on recorded runs, FLOPs with the bases' and without."""
    from cptlab.design.replay import judged, replay
    from cptlab.design.stop import is_enough

    real = Recorded(folder, rise)

    def facts(points, choice, enough):
        share, runs = choice.get("domain_share", np.nan), sum(p.flops for p in points)
        bases = sum(6 * n * base_tokens for n in {p.num_params for p in points})
        return {
            "runs": len(points), "free": runs, "flops": runs + bases, "enough": enough,
            "share": round(float(share), 4), "right": bool(abs(share - real.truth) <= tolerance),
        }  # fmt: skip

    found = {"folder": folder, "runs": len(real.points), "share": real.truth, "interval": real.interval}
    for way in ways:
        last = replay(real.space, real.measure, real.question, tolerance=tolerance, way=way, num_draws=DRAWS)[-1]
        found[way] = facts(last.points, last.choice, last.enough)
    for name, sizes in (("all sizes", real.sizes), ("one size", [real.size])):
        found[name] = []
        for points in real.uniform(sizes):
            now = judged(real.measure(points), real.question, "dcpt", DRAWS, 0)
            if now is not None:
                found[name].append(facts(points, now.choice, is_enough(now, tolerance)))
    found["smaller sizes alone"] = real.extrapolated()
    return found
