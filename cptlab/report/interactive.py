"""Chart -> plotly figures as plain dictionaries, and plotly's own script, which the page holds once."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from cptlab.report.marks import Axis, Field, Line, Panel, Points, Rule, Span, limits, log_ticks, tick_text
from cptlab.report.style import FAINT, INK, MUTED, PAGE_FONT, SURFACE, TWO_SIDED, shorten

SYMBOLS = {
    "o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down", "P": "cross",
    "*": "star", "X": "x",
}  # fmt: skip
BAR = 34  # [px] of the tool bar above a figure
CATEGORY = 18  # letters of the name of a category
HEIGHT = 350  # [px] of a figure without its legend
LEGEND_ROW, ENTRY, LETTER, NARROW = 22, 46, 6.5, 330  # [px] of a row, an entry and a letter of the legend; a phone


def plotly_script() -> str:
    """plotly.js, minified."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def interactive(panel: Panel) -> dict[str, Any]:
    """One panel as plotly's {data, layout}: lists and text only, the user's names escaped."""
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for mark in panel.marks:
        if isinstance(mark, Line):
            data += _line(mark, panel)
        elif isinstance(mark, Points):
            data.append(_points(mark, panel))
        elif isinstance(mark, Rule | Span):
            shapes.append(_shape(mark))
        else:
            data.append(_field(mark, panel))
    x, y = limits(panel)
    fields = any(isinstance(mark, Field) for mark in panel.marks)
    listed = [entry["name"] for entry in (*data, *shapes) if entry.get("showlegend")]
    rows = int(np.ceil(sum(ENTRY + LETTER * len(name) for name in listed) / NARROW))
    left = 66 + 7 * max((len(shorten(name, CATEGORY)) for name in panel.y.names), default=0) * bool(panel.y.names)
    slanted = _slanted(panel.x)
    below = 62 + LEGEND_ROW * rows + 40 * slanted
    layout = {
        "height": HEIGHT + LEGEND_ROW * rows + 40 * slanted,
        "margin": {"l": left, "r": 92 if fields else 14, "t": BAR, "b": below, "autoexpand": False},
        "font": {"family": PAGE_FONT, "size": 12, "color": INK},
        "paper_bgcolor": "#fff", "plot_bgcolor": "#fff", "hovermode": "closest", "shapes": shapes,
        "xaxis": _axis(panel.x, x) | {"tickangle": -40 if slanted else 0}, "yaxis": _axis(panel.y, y),
        "showlegend": bool(listed),
        "legend": {
            "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left",
            "font": {"size": 11}, "itemwidth": 30,
        },
    }  # fmt: skip
    return {"data": data, "layout": layout}


def plain(text: str) -> str:
    """Text as plotly will show it: its pseudo-HTML and its %{templates} are not obeyed."""
    return html.escape(text, quote=False).replace("%{", "%\u200b{")


def _axis(axis: Axis, ends: tuple[float, float]) -> dict[str, Any]:
    low, high = (float(np.log10(end)) for end in ends) if axis.log else ends
    shown: dict[str, Any] = {
        "title": {"text": plain(shorten(axis.label, 60))}, "type": "log" if axis.log else "linear",
        "range": [low, high], "gridcolor": "#e9edf0", "linecolor": MUTED, "zeroline": False, "automargin": False,
        "tickfont": {"color": MUTED}, "showline": True, "ticks": "outside", "tickcolor": FAINT, "ticklen": 4,
    }  # fmt: skip
    if axis.names:
        names = [plain(shorten(name, CATEGORY)) for name in axis.names]
        shown |= {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
        shown["title"] |= {"standoff": 8}
    elif axis.log:
        at = log_ticks(*ends)
        shown |= {"tickmode": "array", "tickvals": at, "ticktext": [tick_text(value, axis) for value in at]}
    elif axis.counts:
        shown |= {"tickformat": ".3~s"}
    return shown


def _slanted(axis: Axis) -> bool:
    """Whether names of categories are too long to stand side by side on a phone."""
    return len(axis.names) * max(map(len, axis.names), default=0) > 36


def numbers(values: Any) -> list[Any]:
    """Six significant digits, None for what is not finite: small, and the same bytes everywhere."""
    array = np.asarray(values, float)
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in array.tolist()]


def _hover(panel: Panel, x: str = "%{x}", y: str = "%{y}") -> str:
    parts = []
    for axis, place in ((panel.x, x), (panel.y, y)):
        number = place if axis.names else place.replace("}", ":.4~s}" if axis.counts else ":.4~g}")
        parts.append(f"{plain(shorten(axis.name, 40))}: {number} {plain(axis.unit)}".rstrip())
    return "<br>".join(parts)


def _line(mark: Line, panel: Panel) -> list[dict[str, Any]]:
    name = plain(mark.name)
    group = plain(mark.group) or name
    traces: list[dict[str, Any]] = []
    hover, custom = _hover(panel), None
    if mark.low is not None and mark.high is not None and np.isfinite(mark.low).any():
        there = {"legendgroup": group, "type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip"}
        edge = {"width": 0, "color": mark.colour}
        traces.append(there | {"x": numbers(mark.x), "y": numbers(mark.low), "line": edge, "name": f"{name}, low"})
        traces.append(
            there
            | {"x": numbers(mark.x), "y": numbers(mark.high), "line": edge, "name": f"{name}, high"}
            | {"fill": "tonexty", "fillcolor": _faded(mark.colour, 0.18)}
        )
        custom = numbers(np.stack([mark.low, mark.high], axis=-1))
        hover += "<br>interval: %{customdata[0]:.4~g} to %{customdata[1]:.4~g}"
    line = {"color": mark.colour, "width": mark.width * 1.3, "dash": "6px,3px" if mark.dash else "solid"}
    traces.append(
        {"type": "scatter", "mode": "lines", "x": numbers(mark.x), "y": numbers(mark.y), "name": name}
        | {"legendgroup": group, "showlegend": not mark.group, "hovertemplate": hover}
        | {"line": line | ({"shape": "hv"} if mark.steps else {})}
        | ({} if custom is None else {"customdata": custom})
    )
    return traces


def _points(mark: Points, panel: Panel) -> dict[str, Any]:
    marker: dict[str, Any] = {
        "symbol": SYMBOLS[mark.marker] + ("-open" if mark.hollow else ""), "size": mark.size * 1.7,
        "color": mark.colour, "line": {"width": 1.2, "color": mark.colour if mark.hollow else "#fff"},
    }  # fmt: skip
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": numbers(mark.x), "y": numbers(mark.y), "name": plain(mark.name),
        "marker": marker, "hovertemplate": _hover(panel), "cliponaxis": False, "showlegend": True,
        "legendgroup": plain(mark.name),
    }  # fmt: skip
    if mark.text:
        trace |= {"customdata": [plain(text) for text in mark.text]}
        trace["hovertemplate"] += "<br>%{customdata}"
    if mark.labels:
        place = {"inside": "middle center", "above": "top center", "left": "top left"}[mark.place]
        font = {"size": 10, "color": "#fff" if mark.place == "inside" else INK}
        trace |= {"mode": "markers+text", "text": [plain(text) for text in mark.labels]}
        trace |= {"textposition": place, "textfont": font}
    for which, error in (("error_x", mark.x_error), ("error_y", mark.y_error)):
        if error is not None:
            trace[which] = {
                "type": "data", "symmetric": False, "arrayminus": numbers(error[0]), "array": numbers(error[1]),
                "color": mark.colour, "thickness": 1.5, "width": 3,
            }  # fmt: skip
    return trace


def _shape(mark: Rule | Span) -> dict[str, Any]:
    if isinstance(mark, Span):
        return {
            "type": "rect", "xref": "x", "x0": mark.low, "x1": mark.high, "yref": "y domain", "y0": 0, "y1": 1,
            "fillcolor": _faded(mark.colour, mark.alpha), "line": {"width": 0}, "layer": "below",
            "name": plain(mark.name), "legendgroup": plain(mark.name), "showlegend": True,
        }  # fmt: skip
    own, other = mark.axis, "y" if mark.axis == "x" else "x"
    return {
        "type": "line", f"{own}ref": own, f"{own}0": mark.at, f"{own}1": mark.at,
        f"{other}ref": f"{other} domain", f"{other}0": 0, f"{other}1": 1, "name": plain(mark.name),
        "line": {"color": mark.colour, "width": 1.4, "dash": "5px,3px" if mark.dash else "solid"},
        "showlegend": not mark.group, "legendgroup": plain(mark.group or mark.name),
    }  # fmt: skip


def _field(mark: Field, panel: Panel) -> dict[str, Any]:
    low, high = mark.limits or (float(np.nanmin(mark.z)), float(np.nanmax(mark.z)))
    trace: dict[str, Any] = {
        "x": numbers(mark.x), "y": numbers(mark.y), "z": numbers(mark.z), "name": plain(mark.name), "zmin": low,
        "zmax": high, "colorscale": _scale(SURFACE if mark.contours else TWO_SIDED),
        "colorbar": {
            "title": {"text": plain(mark.unit), "side": "right"}, "thickness": 12, "outlinewidth": 0, "len": 0.9,
        },
    }  # fmt: skip
    if not mark.contours:
        names = [[f"{plain(a)}, {plain(b)}" for a in panel.x.names] for b in panel.y.names]
        hover = {"customdata": names, "hovertemplate": "%{customdata}: %{z:.2f}", "texttemplate": "%{z:.2f}"}
        return {"type": "heatmap", "xgap": 1, "ygap": 1, "textfont": {"size": 10}} | trace | hover
    step = (high - low) / 10 or 1e-9
    hover = f"{_hover(panel)}<br>{plain(mark.name)}: %{{z:.4~g}} {plain(mark.unit)}"
    if mark.low is not None and mark.high is not None:
        trace["customdata"] = numbers(np.stack([mark.low, mark.high], axis=-1))
        hover += "<br>interval: %{customdata[0]:.4~g} to %{customdata[1]:.4~g}"
    lines = {"start": low, "end": high, "size": step, "showlabels": True, "labelfont": {"size": 10, "color": INK}}
    return {"type": "contour"} | trace | {
        "contours": lines | {"labelformat": ".4~g"}, "line": {"width": 0.8, "color": INK}, "hovertemplate": hover,
    }  # fmt: skip


def _scale(ramp: Sequence[str]) -> list[list[Any]]:
    return [[at, colour] for at, colour in zip(np.linspace(0, 1, len(ramp)).tolist(), ramp, strict=True)]


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
