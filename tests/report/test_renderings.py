"""The three renderings of one chart: PNG, interactive figure, table."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.report.chart_table import chart_table
from cptlab.report.figures import drawn, figures
from cptlab.report.grid import Story
from cptlab.report.interactive import interactive, plain
from cptlab.report.marks import Axis, Field, Line, Panel, Points, Rule, Span, limits, log_ticks


@pytest.fixture(scope="module")
def panels(study):
    return [panel for chart in drawn(figures(Story.of(*study))) for panel in chart.panels]


def test_every_interactive_figure_is_one_that_plotly_accepts(panels):
    import plotly.graph_objects as go

    for panel in panels:
        figure = interactive(panel)
        assert len(go.Figure(figure).data) == len(figure["data"])
        json.dumps(figure, allow_nan=False)


def test_every_axis_is_named_and_everything_drawn_has_a_name(panels):
    for panel in panels:
        figure = interactive(panel)
        for axis in ("xaxis", "yaxis"):
            assert figure["layout"][axis]["title"]["text"]
        assert all(entry["name"] for entry in (*figure["data"], *figure["layout"]["shapes"]))
        for axis in (panel.x, panel.y):
            if "loss" in axis.name or axis.name.startswith("share") or "measured −" in axis.name:
                assert "[" in axis.label, axis.name


def test_fitted_lines_carry_their_band(panels):
    lines = [
        m for p in panels for m in p.marks if isinstance(m, Line) and m.name.startswith("law") and m.low is not None
    ]
    assert len(lines) >= 10
    assert all((line.low <= line.high).all() for line in lines)


PANEL = Panel(
    "t", "what it shows", Axis("tokens", "token", log=True), Axis("loss", "nat/token"),
    [
        Line(np.array([1.0, 10.0]), np.array([3.0, 2.0]), "law", low=np.array([2.9, 1.8]), high=np.array([3.1, 2.2])),
        Points(np.array([2.0]), np.array([2.5]), "<b>run</b>", text=["run %{x}"], y_error=np.array([[0.1], [0.2]])),
        Rule("y", 1.5, "base"), Span(1.0, 5.0, "measured range"),
    ],
)  # fmt: skip


def test_the_table_holds_what_the_panel_draws():
    heads, rows, more = chart_table(PANEL)
    assert heads == ["what", "tokens [token]", "loss [nat/token]", "interval"]
    assert rows == [
        ["law", "1", "3", "2.9 to 3.1"], ["law", "10", "2", "1.8 to 2.2"],
        ["<b>run</b>, run %{x}", "2", "2.5", "loss 2.4 to 2.7"], ["base", "–", "1.5", ""],
        ["measured range", "1 to 5", "–", ""],
    ]  # fmt: skip
    assert more == ""


def test_limits_hold_bands_rules_and_spans():
    (left, right), (low, high) = limits(PANEL)
    assert left < 1 < 10 < right
    assert low < 1.5
    assert high > 3.1


def test_names_are_shown_and_not_obeyed_by_plotly():
    figure = interactive(PANEL)
    assert figure["data"][3]["name"] == "&lt;b&gt;run&lt;/b&gt;"
    assert "%{" not in plain("%{x}")
    assert figure["data"][2]["customdata"] == [[2.9, 3.1], [1.8, 2.2]]


def test_a_matrix_is_told_pair_by_pair():
    names = ["a", "b", "c"]
    field = Field(np.arange(3.0), np.arange(3.0), np.array([[0.3, 0.6, 1], [0.2, 1, 0.6], [1, 0.2, 0.3]]), "rho")
    panel = Panel("t", "alt", Axis("p", names=names), Axis("p", names=names[::-1]), [field])
    _, rows, _ = chart_table(panel)
    assert [row[1:] for row in rows] == [["a", "c", "0.3"], ["b", "c", "0.6"], ["a", "b", "0.2"]]


@given(low=st.floats(1e-9, 1e9), factor=st.floats(1.3, 1e9))
def test_log_ticks_lie_in_their_range_and_are_few(low, factor):
    ticks = log_ticks(low, low * factor)
    assert 1 <= len(ticks) <= 7
    assert all(low <= tick <= low * factor * (1 + 1e-12) for tick in ticks)


def test_log_ticks_are_round():
    assert log_ticks(8e4, 7e5) == [1e5, 2e5, 5e5]
    assert log_ticks(3e4, 3e6) == [3e4, 1e5, 3e5, 1e6, 3e6]
    assert log_ticks(0.9, 1.2e6) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]
