"""Panel -> the numbers that it draws, for readers who do not see it."""

from collections.abc import Iterator

import numpy as np

from cptlab.report.marks import Axis, Line, Panel, Points, Rule, Span

CURVE, SCATTER, PLANE = 7, 24, 4  # rows shown of a curve, of a scatter; of each side of a plane


def chart_table(panel: Panel) -> tuple[list[str], list[list[str]], str]:
    """(heads, rows, a sentence on what is not shown) of one panel."""
    heads = ["what", panel.x.label, panel.y.label, "interval"]
    rows, hidden = [], 0
    for mark in panel.marks:
        if isinstance(mark, Rule):
            cells = (write(mark.at, panel.x), "–") if mark.axis == "x" else ("–", write(mark.at, panel.y))
            rows.append([mark.name, *cells, ""])
        elif isinstance(mark, Span):
            rows.append([mark.name, f"{write(mark.low, panel.x)} to {write(mark.high, panel.x)}", "–", ""])
        elif isinstance(mark, Line):
            kept = _thin(len(mark.x), CURVE)
            for i in kept:
                known = mark.low is not None and mark.high is not None and np.isfinite(mark.low[i])
                ends = f"{write(mark.low[i], panel.y)} to {write(mark.high[i], panel.y)}" if known else ""  # type: ignore[index]
                rows.append([mark.name, write(mark.x[i], panel.x), write(mark.y[i], panel.y), ends])
        elif isinstance(mark, Points):
            kept = _thin(len(mark.x), SCATTER)
            hidden += len(mark.x) - len(kept)
            rows += [_point(mark, i, panel) for i in kept]
        else:
            heads = ["what", panel.x.label, panel.y.label, f"{mark.name} [{mark.unit}]" if mark.unit else mark.name]
            places = _cells(mark.z.shape, mark.contours, mark.symmetric)
            for i, j in places:
                rows.append(
                    [mark.name, write(mark.x[j], panel.x), write(mark.y[i], panel.y), f"{mark.z[i, j]:.4g}"]
                )  # fmt: skip
    more = f"{hidden} more points are drawn; every row stands in observations.csv." if hidden else ""
    return heads, rows, more


def _cells(shape: tuple[int, ...], contours: bool, symmetric: bool) -> Iterator[tuple[int, int]]:
    """A few places of a plane; of a matrix all, of a symmetric one (rows from the last) every pair once."""
    for i in _thin(shape[0], PLANE if contours else shape[0]):
        for j in _thin(shape[1], PLANE if contours else shape[1]):
            if contours or not symmetric or i + j < shape[1] - 1:
                yield i, j


def _point(mark: Points, i: int, panel: Panel) -> list[str]:
    ends = ""
    for error, centre, axis in ((mark.x_error, mark.x, panel.x), (mark.y_error, mark.y, panel.y)):
        if error is not None and np.isfinite(error[:, i]).all():
            ends += f"{axis.name} {write(centre[i] - error[0][i], axis)} to {write(centre[i] + error[1][i], axis)} "
    name = f"{mark.name}, {mark.text[i]}" if mark.text else mark.name
    return [name, write(mark.x[i], panel.x), write(mark.y[i], panel.y), ends.strip()]


def write(value: float, axis: Axis) -> str:
    """A value as the axis names it: four significant digits, or the category."""
    if not np.isfinite(value):
        return "–"
    if axis.names:
        return axis.names[min(max(round(value), 0), len(axis.names) - 1)]
    return f"{value:.4g}".replace("-", "−")


def _thin(n: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)).tolist() if n else []
