"""Marks that several figures share: points of a size, the share axis, the choice."""

from typing import Any

import numpy as np

from cptlab.report.grid import Story
from cptlab.report.style import CHOICE, MARKERS, count, percent, shorten


def size_name(size: float) -> str:
    """28416 -> '28.4k'; nothing where the table has no sizes."""
    return count(size) if np.isfinite(size) else ""


def points(axes: Any, x: Any, y: Any, colour: str, i: int) -> None:
    """Measurements of the i-th size: its marker in its colour."""
    axes.plot(
        x, y, linestyle="none", marker=MARKERS[i % len(MARKERS)], markersize=4.2, color=colour,
        markeredgecolor="white", markeredgewidth=0.5, rasterized=len(x) > 1500,
    )  # fmt: skip


def share_axis(story: Story, axes: Any) -> None:
    """Name the x axis."""
    axes.set_xlabel(f"share of {shorten(story.domain)} in the tokens [%]")


def mark_choice(story: Story, axes: Any) -> None:
    """The chosen share as a line with its interval as a band."""
    if story.chosen is None:
        return
    low, high = story.recommendation.interval.get("domain_share", (story.chosen, story.chosen))
    axes.axvspan(100 * low, 100 * high, color=CHOICE, alpha=0.13, linewidth=0, zorder=0)
    axes.axvline(100 * story.chosen, color=CHOICE, linewidth=1.1, zorder=1)
    axes.margins(y=0.1)
    right = story.chosen > 0.6
    axes.annotate(
        percent(story.chosen), (100 * story.chosen, 1), xycoords=axes.get_xaxis_transform(),
        xytext=(-3 if right else 3, -1), textcoords="offset points", ha="right" if right else "left",
        va="top", color=CHOICE, fontsize=7.5, fontweight="bold",
    )  # fmt: skip


def choice_in_words(story: Story) -> str:
    """A sentence for readers who do not see the figure."""
    if story.chosen is None:
        return "Nothing is chosen."
    low, high = story.recommendation.interval.get("domain_share", (story.chosen, story.chosen))
    return f"Chosen share {percent(story.chosen)}, interval {percent(low)} to {percent(high)}."
