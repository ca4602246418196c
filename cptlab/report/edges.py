"""In words: does a best share or learning rate lie inside the measured grid, or at its edge?"""

from dataclasses import dataclass

import numpy as np

from cptlab.report.charts.parts import size_name
from cptlab.report.grid import Array, Story, repeats
from cptlab.report.style import percent

ENOUGH = 3  # levels below which a grid has no inside
PHYSICAL = 0.005  # [1] a share this near to 0 or 1 has nothing beyond it


@dataclass(frozen=True)
class Edge:
    """One finding; `open`: the best value lies at an edge beyond which runs are possible."""

    sentence: str
    open: bool


def edges(story: Story) -> list[Edge]:
    """Findings about the choice, and about the lowest measured loss of every corpus; open ones first."""
    found = _of_choice(story)
    for corpus in story.drawn:
        final = story.final(corpus, story.focus)
        shares, rates = story.x(final), final.columns.get("peak_lr")
        several = rates is not None and bool(np.isfinite(rates).all()) and len(np.unique(rates)) > 1
        if np.isfinite(shares).all() and story.on_line:
            found += _of(story, corpus, shares, final["loss"], "domain_share", best=several)
        if several and rates is not None:
            found += _of_rates(story, corpus, shares, rates, final["loss"])
    return sorted(found, key=lambda edge: not edge.open)


def _of_rates(story: Story, corpus: str, shares: Array, rates: Array, loss: Array) -> list[Edge]:
    """The best learning rate of every share; one sentence for all that lie inside."""
    found, inside = [], 0
    for rows in repeats(shares if story.on_line else np.full(len(shares), np.nan)):
        at = f" at {percent(float(shares[rows].mean()))} {story.domain}" if np.isfinite(shares[rows]).all() else ""
        edge = _of(story, corpus, rates[rows], loss[rows], "peak_lr", at)
        inside += bool(edge) and not edge[0].open
        found += [one for one in edge if one.open]
    if inside:
        more = "every share" if not found else f"{inside} other share{'s' * (inside > 1)}"
        where = f"at {more}, " if np.isfinite(shares).all() else ""
        found.append(
            Edge(
                f"{corpus}: {where}the best peak learning rate lies inside the measured grid, higher on both sides.",
                False,
            )
        )
    return found


def _of(story: Story, corpus: str, x: Array, loss: Array, name: str, at: str = "", best: bool = False) -> list[Edge]:
    """The lowest mean loss over the levels of x (`best`: the lowest of each level); nothing for one level."""
    groups = repeats(x) if name == "domain_share" else [np.flatnonzero(x == value) for value in np.unique(x)]
    if len(groups) < 2:
        return []
    level = np.array([x[rows].mean() for rows in groups])
    mean = np.array([loss[rows].min() if best else loss[rows].mean() for rows in groups])
    lowest = int(np.argmin(mean))
    size = f", {size_name(story.focus)} parameters" if size_name(story.focus) else ""
    where = f"{_quantity(name)} {_written(name, level[lowest])}" + " at its best learning rate" * best
    start = f"{corpus}{at}{size}: the lowest measured loss, {mean[lowest]:.3f} nat/token, is at {where}"
    if len(groups) < ENOUGH:
        return [Edge(f"{start}, one of {len(groups)} levels only: nothing says where the best one lies.", True)]
    if 0 < lowest < len(groups) - 1:
        return [Edge(f"{start}, inside the measured grid: higher on both sides.", False)]
    side = "lowest" if lowest == 0 else "highest"
    if name == "domain_share" and min(level[lowest], 1 - level[lowest]) < PHYSICAL:
        return [Edge(f"{start}, where the range of shares itself ends.", False)]
    other = "lower" if lowest == 0 else "higher"
    return [Edge(f"{start}, the {side} that was measured: the best one may lie beyond; measure a {other} one.", True)]


def _of_choice(story: Story) -> list[Edge]:
    """Whether the chosen share or learning rate is the first or last that was measured."""
    found, table = [], story.observations
    for name in ("domain_share", "peak_lr"):
        value = story.recommendation.choice.get(name)
        x = story.x(table) if name == "domain_share" else table.columns.get(name, np.array([np.nan]))
        x = x[np.isfinite(x)]
        if not isinstance(value, int | float) or not len(x) or x.min() == x.max():
            continue
        low, high = float(x.min()), float(x.max())
        near = 0.01 * (high - low)
        words = f"The chosen {_quantity(name)}, {_written(name, value)},"
        span = f"the measured range, {_written(name, low)} to {_written(name, high)}"
        if low + near < value < high - near:
            found.append(Edge(f"{words} lies inside {span}.", False))
            continue
        ended = name == "domain_share" and min(value, 1 - value) < PHYSICAL
        where = "at the edge of" if low <= value <= high else "outside"
        more = ", where the range of shares itself ends." if ended else ": a better one may lie beyond."
        found.append(Edge(f"{words} lies {where} {span}{more}", not ended))
    return found


def _quantity(name: str) -> str:
    return "share" if name == "domain_share" else "peak learning rate"


def _written(name: str, value: float) -> str:
    return percent(value) if name == "domain_share" else f"{value:.3g}"
