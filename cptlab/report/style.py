"""Colours, type and short numbers that every figure shares.

Sizes are ordered, so their colours fall in lightness from amber to navy: told apart in grey print and
by colour-blind readers, who also get a marker a size. Purple means the choice and nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

INK, MUTED, FAINT, CHOICE = "#1b1f24", "#5a646f", "#c3cad2", "#a3195b"
MARKERS = "osD^vP*X"
SIZES, SHARES = ("#dd9a3c", "#3f9181", "#1d3a70"), ("#a3c9d8", "#0a3d54")  # ramps, light to dark
SURFACE = ("#f4f8fa", "#a3c9d8", "#2f7392")  # of a loss over a plane: black lines stay readable on it
TWO_SIDED = ("#1d3a70", "#ffffff", "#bf5b17")  # -1, 0, 1
FOUR = ("#1d3a70", "#bf5b17", "#2f8577", "#7a3b8f")  # told apart without order
MANY = 1500  # points from which a scatter is drawn as pixels
PAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
RC: Any = {
    "font.family": "DejaVu Sans", "font.size": 8, "text.color": INK, "text.parse_math": False,
    "text.usetex": False, "axes.titlesize": 8.5, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": MUTED, "axes.linewidth": 0.7,
    "axes.labelcolor": INK, "axes.labelsize": 8, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e9edf0", "grid.linewidth": 0.6, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.frameon": False, "legend.fontsize": 7,
    "legend.handletextpad": 0.3, "legend.borderaxespad": 0.2, "lines.linewidth": 1.4,
    "figure.facecolor": "white", "axes.facecolor": "white",
}  # fmt: skip


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
    if not np.isfinite(share):
        return "–"
    value = 100 * share
    return f"{value:.0f} %" if abs(value - round(value)) <= 0.2 else f"{value:.1f} %"


def shorten(text: str, length: int = 24) -> str:
    """Text of at most `length` characters, for labels in figures."""
    return text if len(text) <= length else text[: length - 1] + "…"
