"""Two other designs, measured and not taken: halving (short runs first) and smaller (the asked size is never trained).

halving: five shares at about half of the tokens; then whatever narrows the interval most for its FLOPs, a longer run
of a share or a new short one, until the interval is narrow and one share was measured in full.
smaller: evenly spaced shares at the two smallest sizes alone, more of them until the choice, a line over log N drawn
through the choices at these sizes, is narrow at the asked size. The slope has a prior of SLOPE a factor e in N; how
far the choice strays from a line is taken as nothing, which two sizes cannot tell.
"""

import adaptive_worlds as worlds
import coverage as made
import numpy as np

SLOPE, LEAST = 0.02, 0.003  # standard deviations: of the slope; of a choice at one size at least
HALF = 4  # checkpoint of a short run
MOST = 16


def halving(world):
    """(points, choice, whether narrow enough)."""
    from cptlab.design.bisect import bisect
    from cptlab.design.replay import judged
    from cptlab.design.space import Point, Space, even_shares
    from cptlab.design.start import spread_shares
    from cptlab.design.stop import half_widths
    from cptlab.design.utility import choose

    n, short, full = made.SIZES[-1], float(made.TOKENS[HALF]), float(made.TOKENS[-1])
    space = Space((n,), (short, full), even_shares(), seeds=1)
    whole = Space((n,), (full,), even_shares())
    done = [Point(n, short, share) for share in spread_shares(5, even_shares())]
    while True:
        longest = [p for p in done if not any(p.same_trunk(o) and o.tokens > p.tokens for o in done)]
        now = judged(world.measure(longest), worlds.asked(), "dcpt", worlds.DRAWS, 0)
        share = np.nan if now is None else now.choice.get("domain_share", np.nan)
        narrow = now is not None and bool(now.choice) and max(half_widths(now.intervals).values()) <= worlds.TOLERANCE
        in_full = [p for p in longest if p.tokens == full]
        if (narrow and in_full) or len(done) >= MOST or now is None:
            return done, share, narrow and bool(in_full)
        if narrow:
            near = min(longest, key=lambda p: abs(p.share - share))
            done.append(Point(n, full, near.share))
            continue
        found = choose(now, space, done)
        point = found[0].point if found else bisect(now, whole, done)
        if point is None:
            return done, share, False
        done.append(point)


def line(sizes, choices, errors, asked):
    """Choice at the asked size and its standard deviation, from choices at other sizes: a line over log N."""
    x = np.stack([np.ones(len(sizes)), np.log(np.asarray(sizes) / asked)], axis=1)
    weight = 1 / np.maximum(errors, LEAST) ** 2
    precision = x.T @ (weight[:, None] * x) + np.diag([0, SLOPE**-2])
    return float(np.linalg.solve(precision, x.T @ (weight * choices))[0]), float(
        np.sqrt(np.linalg.inv(precision)[0, 0])
    )


def told_by(table, question, sizes, draws):
    """Choices at some sizes and their standard deviations, of one fit of them all; None where one has none."""
    from cptlab.design.replay import fits_of
    from cptlab.design.state import state

    fits = fits_of(table, "dcpt", draws, 0)
    states = [state(fits, question(size)) for size in sizes]
    if not all(one.choice and len(one.kept) > 0.9 * draws for one in states):
        return None
    return (
        np.array([one.choice["domain_share"] for one in states]),
        np.array([one.draws["domain_share"].std() for one in states]),
    )


def smaller(world):
    """(points, choice, whether narrow enough)."""
    sizes, share, narrow, points = made.SIZES[:2], np.nan, False, []
    for shares, seeds in ((7, 1), (9, 1), (13, 1), (17, 1), (17, 2), (17, 4)):
        points = worlds.points_of_grid(sizes, shares, seeds)
        found = told_by(world.measure(points), worlds.asked, sizes, worlds.DRAWS)
        if found is None:
            continue
        share, spread = line(sizes, *found, made.SIZES[-1])
        if narrow := 1.645 * spread <= worlds.TOLERANCE:
            break
    return points, share, narrow


OTHER = {"halving": halving, "smaller": smaller}
