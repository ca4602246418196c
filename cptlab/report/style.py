"""Colours, type and small geometry that every figure shares.

Sizes are ordered, so their colours fall in lightness from amber to navy: told apart in grey print and
by colour-blind readers, who also get a marker a size. Purple means the choice and nothing else.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INK, MUTED, FAINT, CHOICE = "#1b1f24", "#5a646f", "#c3cad2", "#a3195b"
MARKERS = "osD^vP*X"
SIZES, SHARES = ("#dd9a3c", "#3f9181", "#1d3a70"), ("#a3c9d8", "#0a3d54")  # ramps, light to dark
RC: Any = {
    "font.family": "DejaVu Sans", "font.size": 8, "text.color": INK, "text.parse_math": False,
    "text.usetex": False, "axes.titlesize": 8.5, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": MUTED, "axes.linewidth": 0.7,
    "axes.labelcolor": INK, "axes.labelsize": 8, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e9edf0", "grid.linewidth": 0.6, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.frameon": False, "legend.fontsize": 7,
    "legend.handletextpad": 0.3, "legend.borderaxespad": 0.2, "lines.linewidth": 1.4,
    "figure.facecolor": "white", "axes.facecolor": "white", "svg.fonttype": "none", "svg.hashsalt": "cptlab",
}  # fmt: skip
WIDTH, HEIGHT = 3.75, 2.85  # inch, of one panel: on a phone 7 pt are then 9.5 px
LEFT, RIGHT, BOTTOM, TOP = 0.58, 0.8, 0.46, 0.28  # inch around its axes; labels of lines stand on the right
PAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Panel:
    """One pair of axes: `draw(axes)` fills it, `alt` says what it shows, `right` is its margin [inch]."""

    title: str
    draw: Callable[[Any], None]
    alt: str
    right: float = RIGHT


@dataclass(frozen=True)
class Plot:
    """A figure: one PNG with its panels side by side, on the page one SVG a panel.

    key: file name without suffix. caption: a sentence on how to read it. columns: panels in a row of the PNG.
    """

    key: str
    title: str
    caption: str
    panels: list[Panel] = field(default_factory=list)
    columns: int = 2


def _figure(panels: Sequence[Panel], columns: int) -> Any:
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = WIDTH * columns, HEIGHT * rows
    figure = Figure(figsize=(width, height))
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        rect = (
            (column * WIDTH + LEFT) / width, ((rows - 1 - row) * HEIGHT + BOTTOM) / height,
            (WIDTH - LEFT - panel.right) / width, (HEIGHT - BOTTOM - TOP) / height,
        )  # fmt: skip
        axes = figure.add_axes(rect)
        axes.set_title(shorten(panel.title, 46), x=-(LEFT - 0.05) / (WIDTH - LEFT - panel.right))
        panel.draw(axes)
    return figure


def save_png(plot: Plot, folder: Path, dpi: int = 150) -> Path:
    """Write `<folder>/<key>.png`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = folder / f"{plot.key}.png"
    with matplotlib.rc_context(RC):
        figure = _figure(plot.panels, plot.columns)
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=dpi, format="png", metadata={"Software": None})
    return path


def svg(panel: Panel, prefix: str) -> str:
    """The panel as inline SVG: no name space, header or address; `prefix` keeps ids apart on a page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context(RC):
        figure = _figure([panel], 1)
        FigureCanvasSVG(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<[^>]*>", lambda tag: _own_ids(tag.group(), prefix), body)
    return f'<svg {view.group() if view else ""} aria-hidden="true" focusable="false">{body.strip()}'


def _own_ids(tag: str, prefix: str) -> str:
    tag = re.sub(r'\bid="', f'id="{prefix}-', tag)
    tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)  # a hundredth of a point is enough
    tag = tag.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    return tag.replace("'DejaVu Sans'", PAGE_FONT)


def colours(n: int, ramp: Sequence[str] = SIZES) -> list[str]:
    """n colours from light to dark, one a size or a share."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    mapped = LinearSegmentedColormap.from_list("ramp", list(ramp))
    return [to_hex(mapped(t)) for t in (np.linspace(0, 1, n) if n > 1 else [1.0])]


def readable(colour: str) -> str:
    """The colour darkened until text in it has a contrast of 4.5 on white (WCAG 2 AA)."""
    from matplotlib.colors import to_hex, to_rgb

    rgb = np.array(to_rgb(colour))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5:
            return to_hex(rgb.tolist())
        rgb = rgb * 0.95


def count(n: float) -> str:
    """28416 -> '28.4k', 3e9 -> '3B'."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(n) >= unit:
            return f"{n / unit:.3g}{letter}" if abs(n) / unit < 999.5 else f"{n / unit:.0f}{letter}"
    return f"{n:g}"


def percent(share: float) -> str:
    """0.52 -> '52 %', with one decimal where the whole number would lie by more than .2 points."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value - round(value)) <= 0.2 else f"{value:.1f} %"


def shorten(text: str, length: int = 24) -> str:
    """Text of at most `length` characters, for labels in figures."""
    return text if len(text) <= length else text[: length - 1] + "…"


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
    axes.set_ylim(low, high)
    kept = [label for label in labels if np.isfinite(label[0])]
    points = axes.get_position().height * axes.figure.get_figheight() * 72
    at = spread([y for y, _, _ in kept], 1.25 * size / points * (high - low), low, high)
    for (y, text, colour), place in zip(kept, at, strict=True):
        axes.annotate(
            text, xy=(1, y), xytext=(1.045, place), xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(), va="center", ha="left", fontsize=size,
            color=readable(colour), annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
