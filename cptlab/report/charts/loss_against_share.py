"""Loss by domain share: measured points, the law with its band, the choice; one panel a corpus."""

import numpy as np

from cptlab.report.charts.parts import LOSS, choice_in_words, choice_marks, runs_in_words, share_axis, size_name, sizes
from cptlab.report.curves import curve
from cptlab.report.grid import OFF_LINE, Story
from cptlab.report.marks import Chart, Line, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import CHOICE, INK, percent, shorten

TITLE = "Loss against domain share"


def loss_against_share(story: Story) -> Chart | Omitted:
    """Fitted curve with band and final measurements for each size."""
    corpora = [c for c in story.drawn if np.isfinite(story.x(story.final(c))).any()]
    if not corpora:
        return Omitted(TITLE, "the table has no share column")
    if not story.on_line:
        return Omitted(TITLE, OFF_LINE)
    curves, level = story.recommendation.curves, percent(story.recommendation.level)
    parts = [
        f"Points are final checkpoints, lines the fitted law with its {level} band",
        "at the asked size and tokens the line is held to what was measured there" * (curves is not None),
        "dashes are the base before training" * story.has_base,
        "purple is the chosen share with its interval" * (story.chosen is not None),
        "the black line is the highest loss that the question allows" * bool(curves and curves.allowed),
        "purple dashes are the law where nothing was measured" * _asks_beyond(story),
    ]
    panels = [
        Panel(
            f"Loss on {shorten(c)}",
            f"Loss on {c} [nat/token] against the share of {story.domain}, a curve for each of {len(story.sizes)} "
            f"model sizes. {choice_in_words(story)}",
            share_axis(story), LOSS, _marks(story, c),
        )
        for c in corpora
    ]  # fmt: skip
    return Chart("loss_against_share", TITLE, "; ".join(p for p in parts if p) + f"{story.undrawn}.", panels)


def _marks(story: Story, corpus: str) -> list[Mark]:
    marks = choice_marks(story)
    for size, name, colour, marker in sizes(story):
        final = story.final(corpus, size)
        if not len(final):
            continue
        x, found = 100 * story.x(final), curve(story, corpus, size)
        of, group = ("", "") if name == "measured" else (f" {name}", name)
        if found is not None:
            grid, loss = found
            marks.append(Line(100 * grid, loss.middle, f"law{of}", colour, low=loss.low, high=loss.high, group=group))
        words = runs_in_words(story, final)
        marks.append(Points(x, final["loss"], name, colour, marker, text=words))
        if story.has_base and np.isfinite(base := float(np.mean(final["base_loss"]))):
            marks.append(Rule("y", base, f"base{of}", colour, group=group))
    curves = story.recommendation.curves
    if curves is not None and corpus in curves.allowed:
        allowed = f"allowed {size_name(curves.num_params)}".strip()
        marks.append(Rule("y", float(curves.allowed[corpus]), allowed, INK, dash=False))
    if curves is not None and corpus in curves.loss and _asks_beyond(story):
        low, middle, high = curves.loss[corpus]
        tokens = size_name(curves.tokens)
        asked = f"{size_name(curves.num_params)}, {tokens} tok." if tokens else "asked"
        marks.append(Line(100 * curves.share, middle, asked, CHOICE, dash=True, low=low, high=high))
    return marks


def _asks_beyond(story: Story) -> bool:
    """Whether the question is about a size or a number of tokens at which no run ended."""
    curves, final = story.recommendation.curves, story.final(story.domain)
    if curves is None:
        return False
    near = np.ones(len(final), bool)
    for name, value in (("num_params", curves.num_params), ("tokens", curves.tokens)):
        if name in final.columns and np.isfinite(value):
            near &= np.isclose(final[name], value, rtol=0.02)
    return not near.any()
