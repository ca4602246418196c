"""Loss, and its change against the base, by domain share and over the run: one panel a corpus."""

from functools import partial
from typing import Any

import numpy as np

from cptlab.report.grid import Story, repeats
from cptlab.report.marks import choice_in_words, mark_choice, points, share_axis, size_name
from cptlab.report.style import (
    CHOICE,
    INK,
    MUTED,
    SHARES,
    Panel,
    Plot,
    colours,
    count,
    label_lines,
    percent,
    shorten,
)


def loss_against_share(story: Story) -> Plot | None:
    """One panel a corpus: fitted curve with band and final measurements for each size."""
    corpora = [c for c in story.drawn if np.isfinite(story.x(story.final(c))).any()]
    if not corpora:
        return None
    curves, level = story.recommendation.curves, percent(story.recommendation.level)
    parts = [
        f"Points are final checkpoints, lines the fitted law with its {level} band",
        "at the asked size and tokens the line is led through what was measured there" * (curves is not None),
        "dashes are the base before training" * story.has_base,
        "purple is the chosen share with its interval" * (story.chosen is not None),
        "the black line is the highest loss that the question allows" * bool(curves and curves.allowed),
        "purple dashes are the law where nothing was measured" * _asks_beyond(story),
    ]
    return Plot(
        "loss_against_share",
        "Loss against domain share",
        "; ".join(part for part in parts if part) + f"{story.undrawn}.",
        [
            Panel(
                f"Loss on {shorten(c)}",
                partial(_draw_loss, story, c),
                f"Loss on {c} [nat/token] against the share of {story.domain}, a curve for each of "
                f"{len(story.sizes)} model sizes. {choice_in_words(story)}",
            )
            for c in corpora
        ],
    )


def _draw_loss(story: Story, corpus: str, axes: Any) -> None:
    labels = []
    for i, (size, colour) in enumerate(zip(story.sizes, colours(len(story.sizes)), strict=True)):
        final = story.final(corpus, size)
        if not len(final):
            continue
        name, x = size_name(size), 100 * story.x(final)
        curve = story.curve(corpus, size)
        end = final["loss"][np.argmax(x)]
        if curve is not None:
            grid, (low, middle, high) = curve
            axes.fill_between(100 * grid, low, high, color=colour, alpha=0.22, linewidth=0)
            axes.plot(100 * grid, middle, color=colour)
            end = middle[-1]
        points(axes, x, final["loss"], colour, i)
        labels.append((float(end), name, colour))
        if story.has_base:
            base = float(np.mean(final["base_loss"]))
            axes.axhline(base, color=colour, linewidth=0.9, dashes=(4, 2.5))
            labels.append((base, f"base {name}".strip(), colour))
    curves = story.recommendation.curves
    if curves is not None and corpus in curves.allowed:
        allowed = float(curves.allowed[corpus])
        axes.axhline(allowed, color=INK, linewidth=1.1)
        labels.append((allowed, f"allowed {size_name(curves.num_params)}".strip(), INK))
    if curves is not None and corpus in curves.loss and _asks_beyond(story):
        low, middle, high = curves.loss[corpus]
        axes.fill_between(100 * curves.share, low, high, color=CHOICE, alpha=0.1, linewidth=0)
        axes.plot(100 * curves.share, middle, color=CHOICE, dashes=(5, 2))
        tokens = size_name(curves.tokens)
        asked = f"{size_name(curves.num_params)}, {tokens} tok." if tokens else "asked"
        labels.append((float(middle[-1]), asked, CHOICE))
    mark_choice(story, axes)
    share_axis(story, axes)
    axes.set_ylabel("loss [nat/token]")
    label_lines(axes, labels)


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


def delta_against_share(story: Story) -> Plot | None:
    """One panel a corpus: loss minus base loss of the final checkpoints."""
    if not story.has_base:
        return None
    return Plot(
        "delta_against_share",
        "Change against the base, corpus by corpus",
        "Below zero a corpus was learnt, above zero it was forgotten: each corpus has its own panel because "
        f"their mean would hide the exchange{story.undrawn}.",
        [
            Panel(
                f"{shorten(c)}: change against the base",
                partial(_draw_delta_share, story, c),
                f"Final loss minus base loss on {c} [nat/token] by share of {story.domain} and size.",
            )
            for c in story.drawn
            if len(story.rows(c))
        ],
    )


def _draw_delta_share(story: Story, corpus: str, axes: Any) -> None:
    labels = []
    axes.axhline(0, color=MUTED, linewidth=0.9, dashes=(4, 2.5))
    for i, (size, colour) in enumerate(zip(story.sizes, colours(len(story.sizes)), strict=True)):
        final = story.final(corpus, size)
        if not len(final):
            continue
        x, delta = story.x(final), final["loss"] - final["base_loss"]
        groups = repeats(x)
        mean = np.array([[100 * x[rows].mean(), delta[rows].mean()] for rows in groups])
        axes.plot(*mean.T, color=colour, linewidth=1.2)
        points(axes, 100 * x, delta, colour, i)
        labels.append((float(mean[-1, 1]), size_name(size) or "measured", colour))
    labels.append((0.0, "base", MUTED))
    mark_choice(story, axes)
    share_axis(story, axes)
    axes.set_ylabel("loss − base loss [nat/token]")
    label_lines(axes, labels)


def delta_against_tokens(story: Story) -> Plot | None:
    """One panel a corpus: how loss minus base loss moves over the run, at the size of the question."""
    if not story.has_base or "tokens" not in story.observations.columns:
        return None
    size = story.focus
    of_size = f", {size_name(size)} parameters" if size_name(size) else ""
    return Plot(
        "delta_against_tokens",
        f"Change against the base over the run{of_size}",
        f"Each line is one run at the size nearest to the question, darker for more {story.domain}; a "
        "line that still falls or rises at its end says that more tokens would change the answer"
        f"{story.undrawn}.",
        [
            Panel(
                f"{shorten(c)}: change over the run",
                partial(_draw_delta_tokens, story, c, size),
                f"Loss minus base loss on {c} [nat/token] against tokens, a line a share of {story.domain}.",
            )
            for c in story.drawn
            if len(story.rows(c, size))
        ],
    )


def _draw_delta_tokens(story: Story, corpus: str, size: float, axes: Any) -> None:
    table, final = story.rows(corpus, size), story.final(corpus, size)
    groups = repeats(story.x(final))
    labels = []
    axes.axhline(0, color=MUTED, linewidth=0.9, dashes=(4, 2.5))
    for rows, colour in zip(groups, colours(len(groups), SHARES), strict=True):
        ends = []
        for run in dict.fromkeys(final.run[rows].tolist()):
            one = table.where(table.run == run)
            order = np.argsort(one["tokens"], kind="stable")
            delta = (one["loss"] - one["base_loss"])[order]
            axes.plot(one["tokens"][order], delta, color=colour, linewidth=1, marker="o", markersize=2.2)
            ends.append(delta[-1])
        labels.append((float(np.mean(ends)), percent(float(story.x(final)[rows].mean())), colour))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel("CPT tokens")
    axes.set_ylabel("loss − base loss [nat/token]")
    label_lines(axes, labels)
