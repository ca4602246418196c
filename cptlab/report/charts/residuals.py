"""Residuals against share, tokens and size, and by run: a pattern is what the law does not say."""

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.report.charts.parts import runs_in_words, share_axis
from cptlab.report.grid import Array, Story
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import CHOICE, INK, MUTED, shorten

TITLE = "Residuals"
CORPORA = 4  # with residuals of their own
BINS = 8  # of the running median
Y = Axis("measured − predicted", "mnat/token")
BLUE = "#5b86a8"


def residuals(story: Story) -> Chart | Omitted:
    """Up to four panels a corpus."""
    panels = []
    for corpus, fit in list(story.fits.items())[:CORPORA]:
        if not np.isfinite(fit.residuals).all():
            continue
        rows, milli = fit.observations, 1000 * fit.residuals
        noise = [] if not fit.seed_noise else [Rule("y", s * 1000 * fit.seed_noise, f"{w} seed noise", MUTED)
                                               for s, w in ((1, "+"), (-1, "−"))]  # fmt: skip
        against = {
            "share": (100 * story.x(rows), share_axis(story)),
            "tokens": (rows.columns.get("tokens"), Axis("CPT tokens", log=True, counts=True)),
            "size": (rows.columns.get("num_params"), Axis("non-embedding parameters", log=True, counts=True)),
        }
        text = runs_in_words(story, rows)
        for name, (x, axis) in against.items():
            if x is None or not np.isfinite(x).all() or np.ptp(x) == 0:
                continue
            marks: list[Mark] = [*noise, Rule("y", 0.0, "law", INK, dash=False)]
            marks += [Points(x, milli, "row", BLUE, "o", 3.2, text=text), _median(x, milli, axis.log)]
            alt = f"Residuals on {corpus} [mnat/token] against {name}, with their running median."
            panels.append(Panel(f"{shorten(corpus, 20)}: against {name}", alt, axis, Y, marks))
        panels.append(_by_run(corpus, fit, noise))
    if not panels:
        return Omitted(TITLE, "no fit predicts its own rows")
    return Chart(
        "residuals",
        TITLE,
        "Above zero the measured loss is higher than the law says; a running median that leaves zero is a trend that "
        "the law does not know, a run that lies off as a whole is an effect of that run.",
        panels,
    )


def _median(x: Array, y: Array, log: bool) -> Line:
    """Median of residuals in groups of x, at most BINS."""
    edges = np.unique(np.round(x, 2) if not log else x)
    if len(edges) > BINS:
        edges = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1))[:-1])
    group = np.searchsorted(edges, np.round(x, 2) if not log else x, side="right")
    at = np.array([(np.median(x[group == g]), np.median(y[group == g])) for g in np.unique(group)])
    return Line(at[:, 0], at[:, 1], "median", CHOICE)


def _by_run(corpus: str, fit: Fit, noise: list[Rule]) -> Panel:
    runs, which = np.unique(fit.observations.run, return_inverse=True)
    milli = 1000 * fit.residuals
    mean = np.array([milli[which == k].mean() for k in range(len(runs))])
    ends = np.array([[milli[which == k].min(), milli[which == k].max()] for k in range(len(runs))])
    order = np.argsort(mean, kind="stable")
    worst = runs[np.argmax(np.abs(mean))]
    points = Points(
        np.arange(1.0, len(runs) + 1), mean[order], "mean of a run, and its range", BLUE, "o", 3.6,
        y_error=np.abs(ends[order] - mean[order][:, None]).T, text=[f"run {run}" for run in runs[order]],
    )  # fmt: skip
    alt = f"Mean residual of each of {len(runs)} runs on {corpus} [mnat/token]; furthest off: run {worst}, "
    alt += f"{mean[np.argmax(np.abs(mean))]:+.1f}."
    marks = [*noise, Rule("y", 0.0, "law", INK, dash=False), points]
    return Panel(f"{shorten(corpus, 20)}: by run", alt, Axis("runs, by their mean residual"), Y, marks)
