"""What the domain costs: its gain against what the general corpus forgets, with the Pareto front and the choice."""

import numpy as np
from numpy.typing import NDArray

from cptlab.report.charts.parts import choice_in_words, runs_in_words, sizes
from cptlab.report.curves import curve
from cptlab.report.grid import Array, Story, repeats
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Points, Rule, Span, limits
from cptlab.report.style import CHOICE, INK, percent, shorten

TITLE = "Gain against forgetting"


def pareto_front(rise: Array, gain: Array) -> NDArray[np.intp]:
    """Indices of the runs that no other run beats in both, by rising `rise` (n,); `gain` (n,) rises along them.

    Of equal runs the first stays.
    """
    best, front = -np.inf, []
    for i in np.lexsort((np.arange(len(rise)), -gain, rise)):
        if gain[i] > best:
            best = gain[i]
            front.append(i)
    return np.array(front, np.intp)


def tradeoff(story: Story) -> Chart | Omitted:
    """General rise [%] against the domain's gain [nat/token]."""
    if not story.general or story.domain == story.general:
        return Omitted(TITLE, "no general corpus was named, so nothing tells gain from forgetting")
    if not story.has_base:
        return Omitted(TITLE, "the losses of the base are not known")
    limit = story.recommendation.question.get("max_general_rise")
    marks, best = _marks(story)
    x = Axis(f"rise of loss on {shorten(story.general)}", "%")
    y = Axis(f"{shorten(story.domain, 10)}: fall of loss", "nat/token")
    title = f"{shorten(story.domain, 14)} gained against {shorten(story.general, 14)} lost"
    words = "" if limit is None else f" At most {100 * limit:g} % is allowed."
    alt = (
        f"Fall of loss on {story.domain} [nat/token] against its rise on {story.general} [%], by model size.{words} "
        f"Not beaten in both: {best}. {choice_in_words(story)}"
    )
    if limit is not None:
        at = 100 * limit
        right = max(limits(Panel(title, alt, x, y, marks))[0][1], 1.15 * at)
        marks.insert(0, Span(at, right, "not allowed", "#c9ced4", 0.25))
        marks.insert(1, Rule("x", at, f"limit {at:g} %", INK, dash=False))
        x = Axis(x.name, x.unit, high=right)
    return Chart(
        "tradeoff",
        TITLE,
        f"Up is more {story.domain} learnt, right is more {story.general} forgotten; steps join the runs that no "
        "other run of that size beats in both (the Pareto front), lines are the fitted laws, numbers are domain "
        "shares in %, and the shaded side breaks the question's limit.",
        [Panel(title, alt, x, y, marks)],
        columns=1,
    )


def _marks(story: Story) -> tuple[list[Mark], str]:
    """The marks, and the front in words."""
    marks: list[Mark] = []
    words = []
    for size, name, colour, marker in sizes(story):
        domain, general = story.final(story.domain, size), story.final(story.general, size)
        runs, at_domain, at_general = np.intersect1d(domain.run, general.run, return_indices=True)
        if not len(runs):
            continue
        domain, general = domain.where(at_domain), general.where(at_general)  # type: ignore[arg-type]
        rise = 100 * (general["loss"] / general["base_loss"] - 1)
        gain = domain["base_loss"] - domain["loss"]
        lines = curve(story, story.domain, size), curve(story, story.general, size)
        if lines[0] is not None and lines[1] is not None:
            path_x = 100 * (lines[1][1].middle / general["base_loss"].mean() - 1)
            path_y = domain["base_loss"].mean() - lines[0][1].middle
            marks.append(Line(path_x, path_y, f"law {name}", colour, group=name))
        front = pareto_front(rise, gain)
        share = story.x(domain)
        labels = [""] * len(runs)
        if story.on_line and (size == story.focus or len(story.sizes) == 1):
            for rows in repeats(share):
                if np.isfinite(share[rows[0]]):
                    shown = next((i for i in rows if i in front), rows[0])
                    labels[shown] = f"{100 * share[rows].mean():.0f}"
            words = [percent(x) for x in share[front] if np.isfinite(x)]
        marks.append(
            Line(rise[front], gain[front], f"front {name}", colour, True, 1.0, steps=True, beside=False, group=name)
        )
        points = Points(rise, gain, name, colour, marker, text=runs_in_words(story, domain))
        marks.append(points if not any(labels) else Points(**{**vars(points), "labels": labels}))
    return marks + _choice(story), ", ".join(dict.fromkeys(words)) or "none"


def _choice(story: Story) -> list[Mark]:
    answer = story.recommendation
    known = set(answer.predicted) & set(answer.base_loss)
    if story.chosen is None or not {story.domain, story.general} <= known:
        return []
    rise = 100 * (np.array(answer.predicted[story.general]) / answer.base_loss[story.general] - 1)
    gain = answer.base_loss[story.domain] - np.array(answer.predicted[story.domain])[::-1]
    errors = [np.abs(v[[0, 2]] - v[1])[:, None] for v in (rise, gain)]
    name = f"choice {percent(story.chosen)}"
    return [
        Points(
            rise[1:2], gain[1:2], name, CHOICE, "*", 10, x_error=errors[0], y_error=errors[1], legend=True,
            text=[f"predicted, {percent(answer.level)} intervals"],
        )
    ]  # fmt: skip
