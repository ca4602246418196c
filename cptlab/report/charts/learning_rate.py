"""Loss by peak learning rate: is the U-curve closed on both sides?"""

import numpy as np

from cptlab.report.charts.parts import LOSS, runs_in_words, size_name
from cptlab.report.curves import LINE, predict
from cptlab.report.grid import Story, repeats
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points
from cptlab.report.style import MARKERS, SHARES, colours, percent, shorten

TITLE = "Loss against learning rate"


def loss_against_lr(story: Story) -> Chart | Omitted:
    """Final losses of one size by peak LR, a colour a share, with the law where it reads the LR."""
    rates = story.observations.columns.get("peak_lr", np.array([np.nan]))
    if len(np.unique(rates[np.isfinite(rates)])) < 2:
        return Omitted(TITLE, "the runs have one learning rate, or none is recorded")
    size = story.focus
    panels = [
        Panel(
            f"Loss on {shorten(c)}", f"Final loss on {c} [nat/token] against the peak learning rate, by share.",
            Axis("peak learning rate", log=True), LOSS, _marks(story, c, size),
        )
        for c in story.drawn
        if len(story.final(c, size))
    ]  # fmt: skip
    of_size = f" of {size_name(size)} parameters" if size_name(size) else ""
    caption = f"Final losses{of_size}; a minimum at the first or last rate is no minimum yet{story.undrawn}."
    return Chart("loss_against_lr", TITLE, caption, panels)


def _marks(story: Story, corpus: str, size: float) -> list[Mark]:
    final, fit = story.final(corpus, size), story.fits.get(corpus)
    shares, marks = story.x(final), list[Mark]()
    groups = repeats(shares)
    for i, (rows, colour) in enumerate(zip(groups, colours(len(groups), SHARES), strict=True)):
        some = final.where(np.isin(np.arange(len(final)), rows))
        share, rate = float(shares[rows].mean()), some["peak_lr"]
        name = percent(share) if np.isfinite(share) else "measured"
        order = np.argsort(rate, kind="stable")
        grid = np.geomspace(rate.min(), rate.max(), LINE)
        moved = {"peak_lr": grid} | ({"domain_share": share} if np.isfinite(share) else {})
        known = fit is not None and "peak_lr" in fit.law.inputs and rate.min() < rate.max()
        loss = predict(story, fit, size, **moved) if known and fit is not None else ""
        if isinstance(loss, str):
            marks.append(Line(rate[order], some["loss"][order], f"through {name}", colour, width=0.9, group=name))
        else:
            marks.append(Line(grid, loss.middle, f"law {name}", colour, low=loss.low, high=loss.high, group=name))
        words = runs_in_words(story, some)
        marks.append(Points(rate, some["loss"], name, colour, MARKERS[i % len(MARKERS)], text=words))
    return marks
