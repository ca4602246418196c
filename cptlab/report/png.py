"""Chart -> PNG, by matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.report.marks import Array, Axis, Chart, Field, Line, Panel, Points, Rule, Span, limits, log_ticks, tick_text
from cptlab.report.style import INK, MANY, MUTED, RC, SURFACE, TWO_SIDED, count, readable, shorten

WIDTH, HEIGHT = 3.75, 2.85  # inch, of one panel
LEFT, RIGHT, NARROW, BOTTOM, TOP = 0.62, 0.8, 0.15, 0.46, 0.28  # inch around its axes; RIGHT holds the names of lines


def save_png(chart: Chart, folder: Path, dpi: int = 150) -> Path:
    """Write `<folder>/<key>.png`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = folder / f"{chart.key}.png"
    columns = min(chart.columns, len(chart.panels))
    rows = -(-len(chart.panels) // columns)
    width, height = WIDTH * columns, HEIGHT * rows
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        for i, panel in enumerate(chart.panels):
            row, column = divmod(i, columns)
            left, right = _margins(panel)
            low, tall = ((rows - 1 - row) * HEIGHT + BOTTOM) / height, (HEIGHT - BOTTOM - TOP) / height
            axes = figure.add_axes(((column * WIDTH + left) / width, low, (WIDTH - left - right) / width, tall))
            _draw(panel, axes)
            if box := axes.yaxis.get_tightbbox():  # long numbers need more room
                left += max(column * WIDTH + 0.1 - box.x0 / figure.dpi, 0)
            inner = WIDTH - left - right
            axes.set_position(((column * WIDTH + left) / width, low, inner / width, tall))
            axes.set_title(shorten(panel.title, 46), x=-(left - 0.05) / inner)
        figure.savefig(path, dpi=dpi, format="png", metadata={"Software": None})
    return path


def _margins(panel: Panel) -> tuple[float, float]:
    """Left and right margin [inch]: names of categories and names of lines need room."""
    longest = max((len(shorten(name, 14)) for name in panel.y.names), default=0)
    return max(LEFT, 0.35 + 0.065 * longest), RIGHT if _named(panel) else NARROW


def _named(panel: Panel) -> list[tuple[float, str, str]]:
    """(y, name, colour) of what is named beside the right edge."""
    ends = []
    for mark in panel.marks:
        if isinstance(mark, Line) and mark.beside and (known := np.isfinite(mark.y) & np.isfinite(mark.x)).any():
            x, y = np.asarray(mark.x)[known], np.asarray(mark.y)[known]
            ends.append((float(y[np.argmax(x)]), mark.name, mark.colour))
        elif isinstance(mark, Rule) and mark.axis == "y":
            ends.append((mark.at, mark.name, mark.colour))
    return ends


def _draw(panel: Panel, axes: Any) -> None:
    for which, axis in (("x", panel.x), ("y", panel.y)):
        _set_axis(axes, which, axis)
    (left, right), (low, high) = limits(panel)
    axes.set(xlim=(left, right), ylim=(low, high))
    for which, axis, ends in (("x", panel.x, (left, right)), ("y", panel.y, (low, high))):
        if axis.log and not axis.names:
            at = log_ticks(*ends)
            getattr(axes, f"{which}axis").set_ticks(at, [tick_text(value, axis) for value in at])
            getattr(axes, f"{which}axis").set_ticks([], minor=True)
    for mark in panel.marks:
        if isinstance(mark, Line):
            _line(mark, axes)
        elif isinstance(mark, Points):
            _points(mark, axes)
        elif isinstance(mark, Rule):
            _rule(mark, axes)
        elif isinstance(mark, Span):
            axes.axvspan(mark.low, mark.high, color=mark.colour, alpha=mark.alpha, linewidth=0, zorder=0)
            if mark.words:
                _note(axes, mark.low, mark.name, MUTED, 0.02, "bottom", 3)
        else:
            _field(mark, axes)
    if any(isinstance(mark, Points) and mark.legend for mark in panel.marks):
        over = any(isinstance(mark, Field) for mark in panel.marks)  # else a mark of the legend reads as a point
        axes.legend(loc="best", frameon=over, facecolor="white", framealpha=1, edgecolor=MUTED)
    label_lines(axes, _named(panel))


def _set_axis(axes: Any, which: str, axis: Axis) -> None:
    ticks: Any = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}label")(shorten(axis.label, 52))
    if axis.names:
        ticks.set_ticks(range(len(axis.names)), [shorten(name, 14) for name in axis.names])
        if which == "x" and len(axis.names) * max(map(len, axis.names)) > 45:
            axes.tick_params(axis="x", labelrotation=40, labelsize=6.5)
        return
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
    if axis.counts:
        ticks.set_major_formatter(lambda value, _: count(value))


def _line(mark: Line, axes: Any) -> None:
    if mark.low is not None and mark.high is not None:
        axes.fill_between(mark.x, mark.low, mark.high, color=mark.colour, alpha=0.18, linewidth=0)
    style: Any = {"dashes": (5, 2)} if mark.dash else {}
    if mark.steps:
        style["drawstyle"] = "steps-post"
    axes.plot(mark.x, mark.y, color=mark.colour, linewidth=mark.width, **style)


def _points(mark: Points, axes: Any) -> None:
    if mark.x_error is not None or mark.y_error is not None:
        axes.errorbar(
            mark.x, mark.y, xerr=mark.x_error, yerr=mark.y_error, color=mark.colour, linestyle="none", linewidth=1.2
        )
    axes.plot(
        mark.x, mark.y, linestyle="none", marker=mark.marker, markersize=mark.size,
        color=mark.colour, markerfacecolor="none" if mark.hollow else mark.colour,
        markeredgecolor=mark.colour if mark.hollow else "white", markeredgewidth=0.8 if mark.hollow else 0.5,
        rasterized=len(mark.x) > MANY, label=shorten(mark.name) if mark.legend else None, clip_on=len(mark.x) > MANY,
    )  # fmt: skip
    for x, y, text in zip(mark.x, mark.y, mark.labels, strict=False):
        place: Any = {"ha": "center", "va": "center", "color": "white", "xytext": (0, 0), "fontsize": 7}
        if mark.place != "inside":
            left = mark.place == "left"
            at = {"ha": "right" if left else "center", "va": "bottom", "xytext": (-3 if left else 0, 3 if left else 6)}
            place |= at | {"color": readable(mark.colour), "fontsize": 6.5 if left else 7.5}
        axes.annotate(shorten(text), (x, y), textcoords="offset points", zorder=7, **place)


def _rule(mark: Rule, axes: Any) -> None:
    style: Any = {"dashes": (4, 2.5)} if mark.dash else {}
    (axes.axvline if mark.axis == "x" else axes.axhline)(mark.at, color=mark.colour, linewidth=1.1, zorder=1, **style)
    if mark.axis == "x":
        _note(axes, mark.at, mark.name, mark.colour, 0.99, "top", 3)


def _note(axes: Any, x: float, text: str, colour: str, y: float, va: str, gap: float) -> None:
    """Words at x, on the side that has more room."""
    low, high = axes.transData.transform([(axes.get_xlim()[0], 1), (axes.get_xlim()[1], 1)])[:, 0]
    right = axes.transData.transform((x, 1))[0] > 0.6 * high + 0.4 * low
    axes.annotate(
        shorten(text, 30), (x, y), xycoords=axes.get_xaxis_transform(), xytext=(-gap if right else gap, 0),
        textcoords="offset points", ha="right" if right else "left", va=va, fontsize=7, color=readable(colour),
        zorder=7,
    )  # fmt: skip


def _field(mark: Field, axes: Any) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = mark.limits or (float(np.nanmin(mark.z)), float(np.nanmax(mark.z)))
    ramp = LinearSegmentedColormap.from_list("ramp", list(SURFACE if mark.contours else TWO_SIDED))
    if mark.contours:
        levels = np.linspace(low, high if high > low else low + 1e-9, 11)
        axes.contourf(mark.x, mark.y, mark.z, levels=levels, cmap=ramp)
        drawn = axes.contour(mark.x, mark.y, mark.z, levels=levels, colors=INK, linewidths=0.5)
        axes.clabel(drawn, levels[1::2], fmt="%.4g", fontsize=6)
        return
    axes.grid(visible=False)
    axes.pcolormesh(mark.x, mark.y, mark.z, cmap=ramp, vmin=low, vmax=high, shading="nearest")
    for (i, j), value in np.ndenumerate(mark.z):
        shown = f"{value:.2f}".replace("-", "−") if np.isfinite(value) else ""
        dark = abs(value) > 0.6 * max(abs(low), abs(high))
        axes.text(mark.x[j], mark.y[i], shown, ha="center", va="center", fontsize=6, color="white" if dark else INK)


def spread(y: Sequence[float], gap: float, low: float, high: float) -> Array:
    """Positions near y (any order), at least `gap` apart, inside [low, high] as far as they fit."""
    wanted = np.asarray(y, float)
    if not len(wanted):
        return wanted
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    steps = gap * np.arange(len(wanted))
    relaxed = wanted[order] - steps  # isotonic regression by pooling neighbours
    blocks: list[list[float]] = []
    for value in relaxed:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    level = np.concatenate([np.full(int(n), a) for a, n in blocks])
    placed = np.clip(level, low, high - steps[-1]) + steps
    result = np.empty(len(placed))
    result[order] = placed
    return result


def label_lines(axes: Any, labels: Sequence[tuple[float, str, str]], size: float = 7) -> None:
    """Write (y, text, colour) beside the right edge, apart from one another; call it last."""
    low, high = axes.get_ylim()
    scale = axes.get_yscale() == "log"
    kept = [label for label in labels if np.isfinite(label[0]) and (label[0] > 0 or not scale)]
    of: Any = np.log if scale else np.asarray
    ends = of([low, high])
    heights = [float((of(y) - ends[0]) / (ends[1] - ends[0])) for y, _, _ in kept]  # of the axes, 0 to 1
    points = axes.get_position().height * axes.figure.get_figheight() * 72
    at = spread(np.clip(heights, 0, 1).tolist(), 1.25 * size / points, 0, 1)
    for height, (_, text, colour), place in zip(heights, kept, at, strict=True):
        axes.annotate(
            shorten(text, 15), xy=(1, float(np.clip(height, 0, 1))), xytext=(1.045, place), xycoords="axes fraction",
            textcoords="axes fraction", va="center", ha="left", fontsize=size, color=readable(colour),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
