"""Stories whose every number is known: planted fits, a table of made-up runs."""

import numpy as np

from cptlab.decisions.recommendation import Recommendation
from cptlab.records.observations import Observations
from cptlab.report.grid import Story


def answer(**changed) -> Recommendation:
    """A recommendation that chooses nothing, but for what is changed."""
    silent = {
        "verdict": "abstain", "choice": {}, "interval": {}, "level": 0.9, "predicted": {}, "base_loss": {},
        "binding": "", "extrapolation": [], "because": "made up.", "next_runs": [],
        "question": {"general": "general", "domain": "law"},
    }  # fmt: skip
    return Recommendation(**{**silent, **changed})


def table(rows: dict[str, list[float]], run: list[str], domain: list[str]) -> Observations:
    """Rows by hand."""
    n = len(run)
    columns = {name: np.array(values, float) for name, values in rows.items()}
    return Observations(columns, np.array(run), np.array(domain), np.full(n, "fit"), np.full(n, "b"), "made up")


def story_of(observations: Observations, fits=None, comparison=None, **changed) -> Story:
    """A story about them."""
    return Story.of(observations, fits or {}, answer(**changed), {}, comparison)


def marks_of(chart, kind, panel: int = 0):
    """The marks of one kind in a panel, by name."""
    return {mark.name: mark for mark in chart.panels[panel].marks if isinstance(mark, kind)}
