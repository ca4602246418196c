"""What the domain costs: general rise against domain gain, with the choice."""

from functools import partial
from typing import Any

import numpy as np

from cptlab.report.grid import Story, repeats
from cptlab.report.marks import choice_in_words, points, size_name
from cptlab.report.style import CHOICE, INK, Panel, Plot, colours, label_lines, percent, shorten


def tradeoff(story: Story) -> Plot | None:
    """General rise [%] against the domain's gain [nat/token], with the chosen point."""
    if not (story.has_base and story.general and story.domain != story.general):
        return None
    limit = story.recommendation.question.get("max_general_rise")
    words = f" At most {100 * limit:g} % is allowed." if limit is not None else ""
    return Plot(
        "tradeoff",
        "What the domain costs",
        f"Up is more {story.domain} learnt, right is more {story.general} forgotten: best are runs on the "
        "upper left edge, numbers are domain shares in %, and the shaded side breaks the question's limit.",
        [
            Panel(
                f"{shorten(story.domain, 14)} gained against {shorten(story.general, 14)} lost",
                partial(_draw_tradeoff, story),
                f"Fall of loss on {story.domain} [nat/token] against its rise on {story.general} [%], "
                f"by model size.{words} {choice_in_words(story)}",
            )
        ],
        columns=1,
    )


def _draw_tradeoff(story: Story, axes: Any) -> None:
    labels, focus = [], story.focus
    for i, (size, colour) in enumerate(zip(story.sizes, colours(len(story.sizes)), strict=True)):
        domain, general = story.final(story.domain, size), story.final(story.general, size)
        runs, at_domain, at_general = np.intersect1d(domain.run, general.run, return_indices=True)
        if not len(runs):
            continue
        domain, general = domain.where(at_domain), general.where(at_general)  # type: ignore[arg-type]
        rise = 100 * (general["loss"] / general["base_loss"] - 1)
        gain = domain["base_loss"] - domain["loss"]
        x = story.x(domain)
        lines = story.curve(story.domain, size), story.curve(story.general, size)
        end = float(gain[np.argmax(x)])
        if lines[0] is not None and lines[1] is not None:
            path_x = 100 * (lines[1][1][1] / general["base_loss"].mean() - 1)
            path_y = domain["base_loss"].mean() - lines[0][1][1]
            axes.plot(path_x, path_y, color=colour)
            end = float(path_y[-1])
        points(axes, rise, gain, colour, i)
        labels.append((end, size_name(size) or "measured", colour))
        if size == focus or len(story.sizes) == 1:
            for rows in repeats(x):
                axes.annotate(
                    f"{100 * x[rows].mean():.0f}", (rise[rows].mean(), gain[rows].mean()), xytext=(-3, 4),
                    textcoords="offset points", fontsize=6.5, color=INK, ha="right",
                )  # fmt: skip
    limit = story.recommendation.question.get("max_general_rise")
    axes.margins(0.08)
    if limit is not None:
        low, high = axes.get_xlim()
        high = max(high, 100 * limit * 1.15)
        axes.set_xlim(low, high)
        axes.axvspan(100 * limit, high, color="#f1f2f4", linewidth=0, zorder=0)
        axes.axvline(100 * limit, color=INK, linewidth=1.1)
        axes.annotate(
            f"limit {100 * limit:g} %", (100 * limit, 0.02), xycoords=axes.get_xaxis_transform(),
            xytext=(-3, 0), textcoords="offset points", fontsize=7, ha="right",
        )  # fmt: skip
    _tradeoff_choice(story, axes)
    axes.set_xlabel(f"rise of loss on {shorten(story.general)} [%]")
    axes.set_ylabel(f"{shorten(story.domain, 10)}: fall of loss [nat/token]")
    label_lines(axes, labels)


def _tradeoff_choice(story: Story, axes: Any) -> None:
    answer = story.recommendation
    known = set(answer.predicted) & set(answer.base_loss)
    if story.chosen is None or not {story.domain, story.general} <= known:
        return
    rise = 100 * (np.array(answer.predicted[story.general]) / answer.base_loss[story.general] - 1)
    gain = answer.base_loss[story.domain] - np.array(answer.predicted[story.domain])[::-1]
    axes.errorbar(
        rise[1], gain[1], xerr=np.abs(rise[[0, 2]] - rise[1])[:, None],
        yerr=np.abs(gain[[0, 2]] - gain[1])[:, None], color=CHOICE, marker="*", markersize=11,
        markeredgecolor="white", markeredgewidth=0.6, linewidth=1.2, zorder=6,
    )  # fmt: skip
    axes.annotate(
        f"choice {percent(story.chosen)}", (rise[1], gain[1]), xytext=(0, -42), textcoords="offset points",
        ha="right" if rise[1] > np.mean(axes.get_xlim()) else "left", color=CHOICE,
        arrowprops={"arrowstyle": "-", "color": CHOICE, "lw": 0.7, "shrinkA": 1, "shrinkB": 5},
        fontsize=7.5, fontweight="bold", zorder=7,
    )  # fmt: skip
