"""What a figure shows, before anybody draws it: marks on axes, in the units that a reader sees.

A builder (cptlab/report/charts) returns a `Chart`; the PNG, the interactive figure and the table below it are three
renderings of that one object, so they cannot disagree. Scatter plots, curves with bands, heat maps and contour plots
are all panels of these few marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cptlab.report.style import FAINT, INK, MUTED, count

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """name and unit as written beside it; `log`: logarithmic; `counts`: ticks as 28.4k; `names`: categories at 0, 1, ..

    low, high: limits, where the marks alone should not set them.
    """

    name: str
    unit: str = ""
    log: bool = False
    counts: bool = False
    names: Sequence[str] = ()
    low: float | None = None
    high: float | None = None

    @property
    def label(self) -> str:
        """`loss [nat/token]`."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Line:
    """A curve (m,) with a band (m,), (m,) where `low` and `high` are given.

    beside: its name stands at its end in the PNG. group: the mark under whose name the page's legend has it; empty:
    under its own.
    """

    x: Array
    y: Array
    name: str
    colour: str = INK
    dash: bool = False
    width: float = 1.4
    low: Array | None = None
    high: Array | None = None
    steps: bool = False
    beside: bool = True
    group: str = ""


@dataclass(frozen=True)
class Points:
    """Measurements (n,); errors: (2, n) distances below and above. text: (n,) for the pointer; labels: (n,) drawn.

    place: where labels stand: `left` (above), `above`, or `inside` the marks in white. legend: whether the name is
    listed in the PNG too.
    """

    x: Array
    y: Array
    name: str
    colour: str = INK
    marker: str = "o"
    size: float = 4.2
    hollow: bool = False
    x_error: Array | None = None
    y_error: Array | None = None
    text: Sequence[str] = ()
    labels: Sequence[str] = ()
    place: str = "left"
    legend: bool = False


@dataclass(frozen=True)
class Rule:
    """A straight line across the panel at x or y (`axis`)."""

    axis: str
    at: float
    name: str
    colour: str = MUTED
    dash: bool = True
    group: str = ""


@dataclass(frozen=True)
class Span:
    """A shaded stretch of the x axis; `words` are written into the PNG where they are given."""

    low: float
    high: float
    name: str
    colour: str = FAINT
    alpha: float = 0.3
    words: bool = False


@dataclass(frozen=True)
class Field:
    """Values z (rows, columns) over the plane: `contours` draws iso-lines with a filled ground, else labelled cells.

    low, high: ends of a band of z, where known. unit: of z. limits: of the colours. symmetric: of cells, z says every
    pair of names twice (rows from the last), so that a table needs it once.
    """

    x: Array
    y: Array
    z: Array
    name: str
    unit: str = ""
    contours: bool = False
    low: Array | None = None
    high: Array | None = None
    limits: tuple[float, float] | None = None
    symmetric: bool = True


Mark = Line | Points | Rule | Span | Field


@dataclass(frozen=True)
class Panel:
    """One pair of axes. alt: what it shows, for readers who do not see it."""

    title: str
    alt: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Chart:
    """A figure: key is the PNG's name without suffix, caption a sentence on how to read it."""

    key: str
    title: str
    caption: str
    panels: Sequence[Panel] = field(default_factory=list)
    columns: int = 2


@dataclass(frozen=True)
class Omitted:
    """A figure that these data or this question cannot fill, and why, in words."""

    title: str
    because: str


def limits(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """((x low, x high), (y low, y high)) that hold every mark with a margin; used by every rendering."""
    return _limits(panel, "x"), _limits(panel, "y")


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten in [low, high], fewer of each decade the more decades there are."""
    decades = np.log10(high / low)
    of_decade = (1, 2, 5) if decades < 1.7 else (1, 3) if decades < 2.6 else (1,)
    if decades < 0.5:
        of_decade = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in of_decade]
    ticks = [tick for tick in ticks if low <= tick <= high]
    return ticks[:: -(-len(ticks) // 7)] if ticks else [low, high]


def tick_text(value: float, axis: Axis) -> str:
    """200000 -> '200k' where the axis counts, else three digits."""
    return count(value) if axis.counts else f"{value:.3g}".replace("-", "−")


def _limits(panel: Panel, which: str) -> tuple[float, float]:
    axis: Axis = getattr(panel, which)
    if axis.names:
        return (-0.6 if axis.low is None else axis.low), (len(axis.names) - 0.4 if axis.high is None else axis.high)
    values = np.concatenate([np.ravel(part) for mark in panel.marks for part in _parts(mark, which)] or [np.ones(1)])
    values = values[np.isfinite(values) & ((values > 0) | (not axis.log))]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 2.0)
    tight = any(isinstance(mark, Field) for mark in panel.marks)
    if axis.log:
        factor = (high / low) ** (0.0 if tight else 0.05) if high > low else 1.2
        low, high = low / factor, high * factor
    else:
        margin = (0.0 if tight else 0.05) * (high - low) if high > low else 0.05 * abs(high) + 1e-3
        low, high = low - margin, high + margin
    return (low if axis.low is None else axis.low), (high if axis.high is None else axis.high)


def _parts(mark: Mark, which: str) -> list[Array]:
    if isinstance(mark, Span):
        return [np.array([mark.low, mark.high])] if which == "x" else []
    if isinstance(mark, Rule):
        return [np.array([mark.at])] if which == mark.axis else []
    centre = np.asarray(getattr(mark, which), float)
    parts = [centre]
    if isinstance(mark, Line) and which == "y":
        parts += [end for end in (mark.low, mark.high) if end is not None]
    if isinstance(mark, Points):
        error = mark.x_error if which == "x" else mark.y_error
        parts += [] if error is None else [centre - error[0], centre + error[1]]
    return parts
