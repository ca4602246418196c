"""Marks and words that several figures share: points of a size, the share axis, the choice."""

import numpy as np

from cptlab.records.observations import Observations
from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Mark, Rule, Span
from cptlab.report.style import CHOICE, MARKERS, MUTED, colours, count, percent, shorten

LOSS = Axis("loss", "nat/token")
DELTA = Axis("loss − base loss", "nat/token")


def size_name(size: float) -> str:
    """28416 -> '28.4k'; nothing where the table has no sizes."""
    return count(size) if np.isfinite(size) else ""


def sizes(story: Story) -> list[tuple[float, str, str, str]]:
    """(size, name, colour, marker) of every measured size, rising."""
    every = zip(story.sizes, colours(len(story.sizes)), strict=True)
    return [(n, size_name(n) or "measured", c, MARKERS[i % len(MARKERS)]) for i, (n, c) in enumerate(every)]


def share_axis(story: Story) -> Axis:
    """Domain share in percent."""
    return Axis(f"share of {shorten(story.domain)} in the tokens", "%")


def runs_in_words(story: Story, table: Observations) -> list[str]:
    """One clause a row, for the pointer: run and share."""
    shares = story.x(table)
    return [
        f"run {run}" + (f", {percent(x)} {story.domain}" if np.isfinite(x) else "")
        for run, x in zip(table.run.tolist(), shares.tolist(), strict=True)
    ]


def choice_marks(story: Story) -> list[Mark]:
    """The chosen share as a line with its interval as a band."""
    if story.chosen is None:
        return []
    marks: list[Mark] = [Rule("x", 100 * story.chosen, f"choice {percent(story.chosen)}", CHOICE, dash=False)]
    ends = story.recommendation.interval.get("domain_share")
    if ends is not None:
        level = percent(story.recommendation.level)
        marks.insert(0, Span(100 * ends[0], 100 * ends[1], f"{level} interval of the choice", CHOICE, 0.13))
    return marks


def choice_in_words(story: Story) -> str:
    """A sentence for readers who do not see the figure."""
    if story.chosen is None:
        return "No share is chosen."
    low, high = story.recommendation.interval.get("domain_share", (story.chosen, story.chosen))
    return f"Chosen share {percent(story.chosen)}, interval {percent(low)} to {percent(high)}."


def base_rule() -> Rule:
    """Zero change."""
    return Rule("y", 0.0, "base", MUTED)
