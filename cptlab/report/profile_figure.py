"""Predicted losses through the choice, along a chosen quantity that is no share."""

from functools import partial
from typing import Any

from cptlab.decisions.recommendation import Profile
from cptlab.report.grid import Story
from cptlab.report.style import CHOICE, INK, Panel, Plot, label_lines, percent, shorten

LABELS = {
    "num_params": "parameters, at the asked compute",
    "tokens": "CPT tokens",
    "peak_lr": "peak learning rate",
}


def profile(story: Story) -> Plot | None:
    """One panel a corpus: the law's prediction with its band, the choice, what the question allows."""
    drawn = story.recommendation.profile
    if drawn is None:
        return None
    level = percent(story.recommendation.level)
    name = LABELS.get(drawn.axis, drawn.axis)
    return Plot(
        "profile",
        f"Predicted loss against {name}",
        f"Lines are the fitted law with its {level} band, the rest as in the choice; purple is the choice with its "
        "interval, the black line what the question allows.",
        [
            Panel(
                f"Predicted loss on {shorten(corpus)}",
                partial(_draw, story, drawn, corpus),
                f"Predicted loss on {corpus} [nat/token] against {name}.",
            )
            for corpus in drawn.loss
        ],
    )


def _draw(story: Story, drawn: Profile, corpus: str, axes: Any) -> None:
    low, middle, high = drawn.loss[corpus]
    axes.fill_between(drawn.values, low, high, color=INK, alpha=0.15, linewidth=0)
    axes.plot(drawn.values, middle, color=INK)
    if drawn.geometric:
        axes.set_xscale("log")
    answer = story.recommendation
    if drawn.axis in answer.choice:
        chosen = answer.choice[drawn.axis]
        axes.axvspan(
            *answer.interval.get(drawn.axis, (chosen, chosen)), color=CHOICE, alpha=0.13, linewidth=0, zorder=0
        )
        axes.axvline(chosen, color=CHOICE, linewidth=1.1, zorder=1)
    labels = [(float(middle[-1]), shorten(corpus, 10), INK)]
    if corpus in drawn.allowed:
        axes.axhline(drawn.allowed[corpus], color=INK, linewidth=1.1, dashes=(4, 2.5))
        labels.append((drawn.allowed[corpus], "allowed", INK))
    axes.set_xlabel(LABELS.get(drawn.axis, drawn.axis))
    axes.set_ylabel("loss [nat/token]")
    label_lines(axes, labels)
