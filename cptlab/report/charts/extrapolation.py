"""Where the law is asked beyond what was measured: its band along model size and along tokens."""

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.records.observations import Observations
from cptlab.report.charts.parts import LOSS, runs_in_words, size_name
from cptlab.report.curves import predict
from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points, Rule, Span
from cptlab.report.style import CHOICE, INK, count, percent, shorten

BEYOND = 10.0  # times the largest measured value, up to which the law is drawn
POINTS = 61
NEAR = 0.05  # [1] runs within this of a share stand for it
WORDS = {"num_params": ("non-embedding parameters", "size"), "tokens": ("CPT tokens", "tokens")}


def extrapolation_size(story: Story) -> Chart | Omitted:
    """Along N."""
    return _extrapolation(story, "num_params")


def extrapolation_tokens(story: Story) -> Chart | Omitted:
    """Along D."""
    return _extrapolation(story, "tokens")


def _extrapolation(story: Story, along: str) -> Chart | Omitted:
    name, short = WORDS[along]
    title = f"Extrapolation in {'model size' if along == 'num_params' else 'tokens'}"
    panels, why = [], ""
    for corpus in story.drawn:
        fit = story.fits.get(corpus)
        found = _panel(story, corpus, fit, along, name) if fit is not None else f"no fit of {corpus}"
        if isinstance(found, Panel):
            panels.append(found)
        else:
            why = why or found
    if not panels:
        return Omitted(title, why or "nothing was fitted")
    return Chart(
        f"extrapolation_{short}",
        title,
        f"Grey is the measured range; beyond it nothing but the form of the law speaks, and the "
        f"{percent(story.recommendation.level)} band over the draws knows nothing of a wrong form{story.undrawn}.",
        panels,
    )


def _panel(story: Story, corpus: str, fit: Fit, along: str, name: str) -> Panel | str:
    if along not in fit.law.inputs:
        return f"law={fit.law_name} reads no {along}"
    if not np.isfinite(fit.theta).all():
        return f"the fit of {corpus} failed"
    low, high = fit.support[along]
    asked = story.recommendation.choice.get(along, getattr(story.recommendation.curves, along, None))
    asked = float(asked) if isinstance(asked, int | float) and np.isfinite(asked) else None
    if low == high and asked in (None, low):
        return f"the runs have one {along} only"
    x = np.geomspace(low, max(BEYOND * high, 1.5 * (asked or 0)), POINTS)
    table = story.final(corpus) if along == "num_params" else story.rows(corpus, story.focus)
    share, tokens = _share(story, table), _tokens(story, fit) if along == "num_params" else None
    others = {"domain_share": share, "tokens": tokens}
    loss = predict(story, fit, story.focus, **{along: x}, **{k: v for k, v in others.items() if v is not None})
    if isinstance(loss, str):
        return loss
    near = np.ones(len(table), bool) if share is None else np.abs(story.x(table) - share) <= NEAR
    near &= np.isclose(table["tokens"], tokens, rtol=NEAR) if tokens is not None else True
    rows = table.where(near)
    places = [f"{percent(share)} {shorten(story.domain, 12)}"] if share is not None else []
    places += [f"{count(tokens)} tokens"] if tokens is not None else []
    if along == "tokens" and size_name(story.focus):
        places.append(f"{size_name(story.focus)} parameters")
    at = f" at {', '.join(places)}" if places else ""
    marks: list[Mark] = [Span(low, high, "measured range", words=True)] if low < high else []
    marks.append(Line(x, loss.middle, "law", INK, low=loss.low, high=loss.high))
    if len(rows):
        words = "measured there"
        marks.append(Points(rows[along], rows["loss"], words, "#3f9181", "o", text=runs_in_words(story, rows)))
    if asked is not None:
        marks.append(Rule("x", asked, f"asked {count(asked)}", CHOICE, dash=False))
    end = f"{loss.low[-1]:.3f} to {loss.high[-1]:.3f}" if loss.low is not None and loss.high is not None else "no band"
    alt = f"Predicted loss on {corpus} [nat/token] along {name}{at}: {loss.middle[-1]:.3f} at {count(x[-1])}, {end}; "
    alt += f"measured from {count(low)} to {count(high)}."
    return Panel(f"{shorten(corpus, 12)}{at}", alt, Axis(name, log=True, counts=True), LOSS, marks)


def _share(story: Story, table: Observations) -> float | None:
    """The measured share nearest to the choice, without one to the middle; None where there are no shares."""
    x = story.x(table)
    x = np.unique(x[np.isfinite(x)])
    if not len(x):
        return None
    wanted = story.chosen if story.chosen is not None else float(np.median(x))
    return float(x[np.argmin(np.abs(x - wanted))])


def _tokens(story: Story, fit: Fit) -> float | None:
    """Tokens at which the law is drawn along N: as asked, else as at the last checkpoint of the drawn size."""
    if "tokens" not in fit.law.inputs:
        return None
    asked = story.recommendation.choice.get("tokens", getattr(story.recommendation.curves, "tokens", None))
    if isinstance(asked, int | float) and np.isfinite(asked):
        return float(asked)
    return float(story.final(fit.domain, story.focus)["tokens"].max())
