"""Iso-loss contours: where a share and the learning rate, or a share and the tokens, buy the same loss."""

import numpy as np

from cptlab.fitting.scope import is_share
from cptlab.report.charts.parts import runs_in_words, share_axis, size_name
from cptlab.report.curves import predict, share_range
from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Chart, Field, Mark, Omitted, Panel, Points
from cptlab.report.style import CHOICE, INK, percent, shorten

SIDE = 41  # points of a side of the plane
AXES = {
    "peak_lr": ("contours_lr", "Iso-loss contours: share and learning rate", Axis("peak learning rate", log=True)),
    "tokens": (
        "contours_tokens",
        "Iso-loss contours: share and tokens",
        Axis("CPT tokens", log=True, counts=True),
    ),
}


def contours_lr(story: Story) -> Chart | Omitted:
    """Share against peak learning rate."""
    return _contours(story, "peak_lr")


def contours_tokens(story: Story) -> Chart | Omitted:
    """Share against CPT tokens."""
    return _contours(story, "tokens")


def _contours(story: Story, other: str) -> Chart | Omitted:
    key, title, axis = AXES[other]
    size, panels, why = story.focus, [], ""
    for corpus in story.drawn:
        found = _panel(story, corpus, size, other, axis)
        if isinstance(found, Panel):
            panels.append(found)
        else:
            why = why or found
    if not panels:
        return Omitted(title, why or "nothing was fitted")
    of_size = f" of {size_name(size)} parameters" if size_name(size) else ""
    return Chart(
        key,
        title,
        f"Along a line the fitted law predicts the same loss{of_size}, inside the measured ranges only; dots are "
        "measured rows, the star is the choice where it lies on this plane, the pointer tells the interval of a place.",
        panels,
    )


def _panel(story: Story, corpus: str, size: float, other: str, axis: Axis) -> Panel | str:
    fit = story.fits.get(corpus)
    if fit is None or not np.isfinite(fit.theta).all():
        return f"no fit of {corpus}"
    if not any(map(is_share, fit.law.inputs)) or other not in fit.law.inputs:
        missing = other if other not in fit.law.inputs else "share"
        return f"law={fit.law_name} reads no {missing.replace('peak_lr', 'learning rate')}"
    ends = share_range(story, fit, size)
    values = fit.observations[other]
    if ends is None or not values.min() < values.max():
        return f"the runs have one {other if ends else 'share'} only"
    x, y = np.linspace(*ends, SIDE), np.geomspace(values.min(), values.max(), SIDE)
    loss = predict(story, fit, size, **{"domain_share": x[None, :], other: y[:, None]})
    if isinstance(loss, str):
        return loss
    if not np.isfinite(loss.middle).any():
        return f"law={fit.law_name} predicts no finite loss there"
    top = np.quantile(loss.middle[np.isfinite(loss.middle)], 0.98)  # a steep corner would take all the lines
    span = float(np.nanmin(loss.middle)), float(top)
    shown = np.where(loss.middle > top, top, loss.middle)
    marks: list[Mark] = [
        Field(100 * x, y, shown, f"loss on {shorten(corpus)}", "nat/token", True, loss.low, loss.high, span)
    ]
    rows = fit.observations
    rows = rows.where(rows["num_params"] == size) if "num_params" in rows.columns and np.isfinite(size) else rows
    marks.append(
        Points(100 * story.x(rows), rows[other], "measured", INK, "o", 2.2, text=runs_in_words(story, rows))
    )  # fmt: skip
    chosen, at = story.chosen, story.recommendation.choice.get(other)
    if chosen is not None and isinstance(at, int | float) and y[0] <= at <= y[-1] and ends[0] <= chosen <= ends[1]:
        star = Points(np.array([100 * chosen]), np.array([float(at)]), f"choice {percent(chosen)}", CHOICE, "*", 10)
        marks.append(star)
    what = "the learning rate" if other == "peak_lr" else "tokens"
    alt = f"Lines of equal predicted loss on {corpus} [nat/token] over the share of {story.domain} and {what}, from "
    alt += f"{span[0]:.4g} to {span[1]:.4g}."
    return Panel(f"Predicted loss on {shorten(corpus)} [nat/token]", alt, share_axis(story), axis, marks)
