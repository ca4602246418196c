"""Predicted against measured: what was fitted, and what was predicted by a fit that had not seen it."""

import numpy as np

from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points
from cptlab.report.style import FOUR, INK, shorten

TITLE = "Predicted against measured"
GREY = "#aab3bd"
HELD = {  # protocol: (label, marker)
    "ratio": ("share held out", "D"),
    "ratio_ends": ("end share held out", "^"),
    "tokens": ("last tokens held out", "s"),
    "size": ("largest size held out", "P"),
}


def predicted_against_measured(story: Story) -> Chart | Omitted:
    """Two panels a corpus: the loss itself, and loss minus base loss."""
    panels = []
    for corpus, fit in story.fits.items():
        if corpus not in story.drawn or not np.isfinite(fit.predicted).all():
            continue
        error = fit.heldout.get("ratio")
        words = f" Held-out shares: {100 * error.mape:.2f} % mean absolute error." if error is not None else ""
        names = [("loss", f"{shorten(corpus, 20)}: predicted against measured")]
        if np.isfinite(fit.observations.columns.get("base_loss", np.array([np.nan]))).any():
            names.append(("loss − base loss", f"{shorten(corpus, 20)}: the change alone"))
        for what, title in names:
            alt = f"Predicted against measured {what} on {corpus} [nat/token], {len(fit.residuals)} rows.{words}"
            x, y = Axis(f"measured {what}", "nat/token"), Axis(f"predicted {what}", "nat/token")
            panels.append(Panel(title, alt, x, y, _marks(story, corpus, what != "loss")))
    if not panels:
        return Omitted(TITLE, "no fit predicts its own rows")
    return Chart(
        "predicted_against_measured",
        TITLE,
        "On the diagonal the law is right; pale dots were fitted, coloured marks were predicted by a fit "
        "that had not seen them, and taking the base loss off (second panel) removes the easy part.",
        panels,
    )


def _marks(story: Story, corpus: str, against_base: bool) -> list[Mark]:
    fit = story.fits[corpus]
    measured = fit.predicted + fit.residuals
    base = fit.observations["base_loss"] if against_base else np.zeros(len(measured))
    runs = [f"run {run}" for run in fit.observations.run.tolist()]
    x, y = measured - base, fit.predicted - base
    marks: list[Mark] = [Points(x, y, "fitted", GREY, "o", 3.2, text=runs, legend=True)]
    shown = [x, y]
    for (protocol, (label, marker)), colour in zip(HELD.items(), FOUR, strict=True):
        held = fit.heldout.get(protocol)
        if held is None or not len(held.rows):
            continue
        x, y = measured[held.rows] - base[held.rows], held.predicted - base[held.rows]
        text = [runs[i] for i in held.rows]
        marks.append(Points(x, y, label, colour, marker, 3.6, hollow=True, text=text, legend=True))
        shown += [x, y]
    values = np.concatenate(shown)
    ends = np.quantile(values[np.isfinite(values)], [0, 1])
    return [Line(ends, ends, "right", INK, width=0.8, beside=False), *marks]
