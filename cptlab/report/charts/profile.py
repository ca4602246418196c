"""Predicted losses through the choice, along a chosen quantity that is no share."""

from cptlab.decisions.recommendation import Profile
from cptlab.report.charts.parts import LOSS
from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Chart, Line, Mark, Omitted, Panel, Rule, Span
from cptlab.report.style import CHOICE, INK, count, percent, shorten

TITLE = "Predicted loss against what was chosen"
LABELS = {
    "num_params": "parameters, at the asked compute",
    "tokens": "CPT tokens",
    "peak_lr": "peak learning rate",
}


def profile(story: Story) -> Chart | Omitted:
    """One panel a corpus: the law's prediction with its band, the choice, what the question allows."""
    drawn = story.recommendation.profile
    if drawn is None:
        return Omitted(TITLE, "the question chooses no size, tokens or learning rate")
    level = percent(story.recommendation.level)
    name = LABELS.get(drawn.axis, drawn.axis)
    x = Axis(name, log=drawn.geometric, counts=drawn.axis in ("num_params", "tokens"))
    return Chart(
        "profile",
        f"Predicted loss against {name}",
        f"Lines are the fitted law with its {level} band, the rest as in the choice; purple is the choice with its "
        "interval, the black line what the question allows.",
        [
            Panel(
                f"Predicted loss on {shorten(corpus)}", f"Predicted loss on {corpus} [nat/token] against {name}.",
                x, LOSS, _marks(story, drawn, corpus),
            )
            for corpus in drawn.loss
        ],
    )  # fmt: skip


def _marks(story: Story, drawn: Profile, corpus: str) -> list[Mark]:
    low, middle, high = drawn.loss[corpus]
    marks: list[Mark] = [Line(drawn.values, middle, shorten(corpus), INK, low=low, high=high)]
    answer = story.recommendation
    if drawn.axis in answer.choice:
        chosen = answer.choice[drawn.axis]
        text = f"{chosen:.3g}" if drawn.axis == "peak_lr" else count(chosen)
        marks.append(Rule("x", chosen, f"choice {text}", CHOICE, dash=False))
        if drawn.axis in answer.interval:
            level = percent(answer.level)
            marks.insert(0, Span(*answer.interval[drawn.axis], f"{level} interval of the choice", CHOICE, 0.13))
    if corpus in drawn.allowed:
        marks.append(Rule("y", float(drawn.allowed[corpus]), "allowed", INK))
    return marks
