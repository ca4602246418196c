"""Change against the base, corpus by corpus: at the choice, by share, over the run. Never as a mean of corpora."""

import numpy as np

from cptlab.report.charts.parts import DELTA, base_rule, choice_marks, runs_in_words, share_axis, size_name, sizes
from cptlab.report.grid import OFF_LINE, Story, repeats
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import CHOICE, MUTED, SHARES, colours, percent, shorten

AT_CHOICE, BY_SHARE = "Predicted change at the choice", "Change against the base, corpus by corpus"
BY_TOKENS = "Change against the base over the run"
NO_BASE = "the losses of the base are not known"


def delta_at_choice(story: Story) -> Chart | Omitted:
    """One row a corpus: predicted loss minus base loss, with its interval."""
    answer = story.recommendation
    corpora = [c for c in story.corpora if c in answer.predicted and c in answer.base_loss]
    if not answer.predicted:
        return Omitted(AT_CHOICE, "nothing is chosen")
    if not corpora:
        return Omitted(AT_CHOICE, NO_BASE)
    corpora.reverse()  # the domain on top
    delta = np.array([np.array(answer.predicted[c]) - answer.base_loss[c] for c in corpora])
    relative = [100 * d[1] / answer.base_loss[c] for c, d in zip(corpora, delta, strict=True)]
    level = percent(answer.level)
    points = Points(
        delta[:, 1], np.arange(len(corpora), dtype=float), f"predicted, {level} interval", CHOICE, "o", 6,
        x_error=np.abs(delta[:, [0, 2]] - delta[:, 1:2]).T, text=[f"{value:+.1f} %" for value in relative],
        place="above", labels=[f"{value:+.1f} %".replace("-", "−") for value in relative],
    )  # fmt: skip
    alt = "; ".join(f"{c} {d[1]:+.3f} nat/token" for c, d in zip(corpora, delta, strict=True))
    return Chart(
        "delta_at_choice",
        AT_CHOICE,
        "Left of the base a corpus is learnt, right of it forgotten; each corpus stands alone because a mean would "
        f"hide the exchange. Bars are {level} intervals.",
        [
            Panel(
                "Change at the choice", f"Predicted change at the choice: {alt}.", Axis(DELTA.name, DELTA.unit),
                Axis("corpus", names=corpora), [Rule("x", 0.0, "base", MUTED), points],
            )
        ],
        columns=1,
    )  # fmt: skip


def delta_against_share(story: Story) -> Chart | Omitted:
    """Loss minus base loss of the final checkpoints, by share and size."""
    if not story.has_base:
        return Omitted(BY_SHARE, NO_BASE)
    corpora = [c for c in story.drawn if len(story.rows(c)) and np.isfinite(story.x(story.final(c))).any()]
    if not corpora:
        return Omitted(BY_SHARE, "the table has no share column")
    panels = []
    for c in corpora:
        whose = story.domain if story.on_line else c
        alt = f"Final loss minus base loss on {c} [nat/token] by share of {whose} and size."
        axis = share_axis(story) if story.on_line else Axis(f"share of {shorten(c)} in the tokens", "%")
        panels.append(Panel(f"{shorten(c)}: change against the base", alt, axis, DELTA, _by_share(story, c)))
    of_lines = "Lines join the means of repeats." if story.on_line else f"Each by its own share: {OFF_LINE}."
    return Chart(
        "delta_against_share",
        BY_SHARE,
        "Below zero a corpus was learnt, above zero it was forgotten: each corpus has its own panel because "
        f"their mean would hide the exchange{story.undrawn}. {of_lines}",
        panels,
    )


def _by_share(story: Story, corpus: str) -> list[Mark]:
    marks: list[Mark] = [*(choice_marks(story) if story.on_line else []), base_rule()]
    for size, name, colour, marker in sizes(story):
        final = story.final(corpus, size)
        if not len(final):
            continue
        x, delta = 100 * story.x(final), final["loss"] - final["base_loss"]
        if not story.on_line:
            x = 100 * final.columns.get(f"share_{corpus}", x / 100)
            marks.append(Points(x, delta, name, colour, marker, text=runs_in_words(story, final)))
            continue
        mean = np.array([[x[rows].mean(), delta[rows].mean()] for rows in repeats(x / 100)])
        marks.append(Line(mean[:, 0], mean[:, 1], name, colour, width=1.2, group=name))
        marks.append(Points(x, delta, name, colour, marker, text=runs_in_words(story, final)))
    return marks


def delta_against_tokens(story: Story) -> Chart | Omitted:
    """How loss minus base loss moves over the run, at the size of the question."""
    if not story.has_base:
        return Omitted(BY_TOKENS, NO_BASE)
    if "tokens" not in story.observations.columns:
        return Omitted(BY_TOKENS, "the table has no tokens column")
    size = story.focus
    if len(story.rows(story.domain, size)) == len(story.final(story.domain, size)):
        return Omitted(BY_TOKENS, "each run has one checkpoint")
    of_size = f", {size_name(size)} parameters" if size_name(size) else ""
    panels = [
        Panel(
            f"{shorten(c)}: change over the run",
            f"Loss minus base loss on {c} [nat/token] against tokens, a line a run, by share of {story.domain}.",
            Axis("CPT tokens", log=True, counts=True), DELTA, _by_tokens(story, c, size),
        )
        for c in story.drawn
        if len(story.rows(c, size))
    ]  # fmt: skip
    return Chart(
        "delta_against_tokens",
        f"{BY_TOKENS}{of_size}",
        f"Each line is one run at the size nearest to the question, darker for more {story.domain}; a line that still "
        f"falls or rises at its end says that more tokens would change the answer{story.undrawn}.",
        panels,
    )


def _by_tokens(story: Story, corpus: str, size: float) -> list[Mark]:
    table, final = story.rows(corpus, size), story.final(corpus, size)
    shares = story.x(final)
    groups = repeats(shares)
    marks: list[Mark] = [base_rule()]
    for rows, colour in zip(groups, colours(len(groups), SHARES), strict=True):
        share = shares[rows].mean()
        name = percent(float(share)) if np.isfinite(share) else "runs"
        for k, run in enumerate(dict.fromkeys(final.run[rows].tolist())):
            one = table.where(table.run == run)
            order = np.argsort(one["tokens"], kind="stable")
            delta = (one["loss"] - one["base_loss"])[order]
            first, told = k == 0, name if k == 0 else f"{name}, run {run}"
            marks.append(
                Line(one["tokens"][order], delta, told, colour, width=1.0, beside=first, group="" if first else name)
            )
    return marks
