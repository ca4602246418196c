"""The figures of a report, in its order: those that the story fills, and why the others are left out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cptlab.report.charts.contours import contours_lr, contours_tokens
from cptlab.report.charts.correlation import correlation
from cptlab.report.charts.coverage import coverage
from cptlab.report.charts.deltas import delta_against_share, delta_against_tokens, delta_at_choice
from cptlab.report.charts.extrapolation import extrapolation_size, extrapolation_tokens
from cptlab.report.charts.forgetting import run_charts
from cptlab.report.charts.heldout import heldout_error
from cptlab.report.charts.learning_rate import loss_against_lr
from cptlab.report.charts.loss_against_share import loss_against_share
from cptlab.report.charts.predicted import predicted_against_measured
from cptlab.report.charts.profile import profile
from cptlab.report.charts.residuals import residuals
from cptlab.report.charts.tradeoff import tradeoff
from cptlab.report.charts.transfer import TASKS, streams_charts, task_chart
from cptlab.report.grid import Story
from cptlab.report.marks import Chart, Omitted
from cptlab.report.png import save_png

Maker = Callable[[Story], Chart | Omitted]
SECTIONS: dict[str, list[Maker]] = {
    "What was measured and fitted": [
        profile, loss_against_share, tradeoff, delta_at_choice, coverage, delta_against_share, delta_against_tokens,
        loss_against_lr, contours_lr, contours_tokens,
    ],
    "How far beyond the measurements": [extrapolation_size, extrapolation_tokens],
    "How far to trust the fits": [predicted_against_measured, heldout_error, residuals, correlation],
}  # fmt: skip


GAINED_AND_LOST = "What the runs gained and lost"


def figures(story: Story) -> dict[str, list[Chart | Omitted]]:
    """Section -> its figures; the second is on gains and losses, where the records of the runs are at hand."""
    found = {}
    for section, makers in SECTIONS.items():
        found[section] = [maker(story) for maker in makers]
        if len(found) == 1 and (charts := _gained_and_lost(story.facts)):
            found[GAINED_AND_LOST] = charts
    return found


def _gained_and_lost(facts: Mapping[str, Any]) -> list[Chart | Omitted]:
    """Of the runs, of the streams among them, of the tasks: what was handed over."""
    runs, verdicts = facts.get("metrics"), facts.get("tasks")
    found = run_charts(runs) if runs else []
    if runs and "streams" in facts:
        found += streams_charts(facts["streams"])
    if verdicts:
        found.append(task_chart(verdicts))
    elif runs and "tasks" in facts:
        found.append(Omitted(TASKS, "no item scores of base and adapted model were given (tasks=[BASE,ADAPTED])"))
    return found


def drawn(sections: dict[str, list[Chart | Omitted]]) -> list[Chart]:
    """The figures that can be drawn."""
    return [chart for charts in sections.values() for chart in charts if isinstance(chart, Chart)]


def write_figures(charts: list[Chart], folder: Path) -> list[Path]:
    """Write every chart as `<folder>/<key>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [save_png(chart, folder) for chart in charts]
