"""The figures of a report; each maker returns a `Plot`, or None where the table cannot show it."""

from collections.abc import Callable
from pathlib import Path

from cptlab.report.fit_figures import coverage, predicted_against_measured
from cptlab.report.grid import Story
from cptlab.report.profile_figure import profile
from cptlab.report.share_figures import delta_against_share, delta_against_tokens, loss_against_share
from cptlab.report.style import Plot, save_png
from cptlab.report.tradeoff_figure import tradeoff


def figures(story: Story) -> list[Plot]:
    """Every figure that the story can show, in the order of the report."""
    makers: list[Callable[[Story], Plot | None]] = [
        profile, loss_against_share, tradeoff, coverage, predicted_against_measured, delta_against_share,
        delta_against_tokens,
    ]  # fmt: skip
    plots = [maker(story) for maker in makers]
    return [plot for plot in plots if plot is not None and plot.panels]


def write_figures(plots: list[Plot], folder: Path) -> list[Path]:
    """Write every plot as `<folder>/<key>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [save_png(plot, folder) for plot in plots]
