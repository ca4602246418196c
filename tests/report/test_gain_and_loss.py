"""The report's section on gain and loss: drawn from the runs' records where they are at hand."""

import dataclasses
import json

import numpy as np
import pytest
from known_runs import write_diagnostics, write_run
from PIL import Image

from cptlab.metrics.alignment import Alignment
from cptlab.metrics.chains import Stream
from cptlab.metrics.curves import RowLosses
from cptlab.metrics.of_run import metrics_of
from cptlab.metrics.paired import paired_bootstrap
from cptlab.metrics.stages import StageMatrix
from cptlab.metrics.transfer import transfer
from cptlab.records.run_folders import load_run
from cptlab.report.chart_table import chart_table
from cptlab.report.charts.forgetting import chosen, run_charts
from cptlab.report.charts.transfer import STREAMS, TASKS, stream_charts, streams_charts, task_chart
from cptlab.report.figures import GAINED_AND_LOST, figures, write_figures
from cptlab.report.grid import Story
from cptlab.report.interactive import interactive
from cptlab.report.marks import Chart, Field, Omitted, Points
from cptlab.report.metrics_table import metrics_table
from cptlab.report.page import render

KEYS = ["stability_gap", "weight_drift", "gradient_alignment", "activation_kurtosis"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs of one size and one of another, with everything measured."""
    folder = tmp_path_factory.mktemp("runs")
    for i, (name, size) in enumerate({"a": 3e4, "b": 3e4, "c": 3e4, "d": 1e4}.items()):
        losses = {0: {"prose": 2.0, "law": 4.0}}
        losses |= {s: {"prose": 2 + 0.1 * (i + 1) * (5 - s) / 5, "law": 4 - 0.1 * s} for s in (1, 2, 5, 10)}
        drawn = {"corpora": ["prose", "law"], "gram": (np.eye(4) + 0.2).tolist()}
        path = write_run(folder, name, losses, se=0.02, num_params_nonembed=size, share=0.2 * (i + 1))
        write_diagnostics(path, [
            {"step": s, "gradients": drawn, "kurtosis": {"prose": {"mean": [3.0 + i, 4.0], "se": [0.1, 0.1]}},
             "weight_drift": {part: {"change_sq": 0.1 * s, "base_sq": 9.0, "numel": 5} for part in ("block 0", "embeddings")}}
            for s in (0, 1, 10)
        ])  # fmt: skip
    return [metrics_of(load_run(path)) for path in sorted(folder.iterdir())]


def test_every_chart_is_drawn_where_its_numbers_were_measured(runs, tmp_path):
    charts = run_charts(runs)
    assert [chart.key for chart in charts] == KEYS
    for path in write_figures(charts, tmp_path):
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5


def test_runs_of_the_largest_size_are_drawn_one_a_share(runs):
    assert [run.run_id for run in chosen(runs)] == ["a", "b", "c"]
    again = dataclasses.replace(runs[0], run_id="seed 1")
    assert [run.run_id for run in chosen([*runs, again])] == ["a", "b", "c"]


def test_what_was_not_measured_is_left_out_with_the_key_that_measures_it(runs):
    bare = [dataclasses.replace(run, diagnostics=None) for run in runs]
    charts = run_charts(bare)
    assert [type(chart) for chart in charts] == [Chart, Omitted, Omitted, Omitted]
    for chart, key in zip(charts[1:], ("weight_drift", "gradient_alignment", "activation_kurtosis"), strict=True):
        assert f"diagnostics.{key}=true" in chart.because


def test_the_gap_is_drawn_with_its_worst_point_and_where_it_came_back(runs):
    panel = run_charts(runs[:1])[0].panels[0]
    marks = {mark.name: mark for mark in panel.marks}
    assert (marks["worst"].x.tolist(), marks["worst"].y.tolist()) == ([100.0], [pytest.approx(0.08)])
    assert marks["back at the base"].x.tolist() == [500.0]
    assert "worst: this run +0.080" in panel.alt.lower()


def stream():
    names = ["prose", "law", "code"]
    loss = np.array([[2.0, 4.0, 5.0], [2.2, 3.0, 5.1], [2.5, 3.4, 4.0]])
    return transfer(StageMatrix(["base", "one", "two"], names, names, loss, np.full((3, 3), 0.05)))


def test_the_table_below_the_transfer_matrix_has_every_cell():
    panel = stream_charts(stream())[0].panels[0]
    rows = chart_table(panel)[1]
    assert [row[1:] for row in rows] == [
        ["prose", "2. code", "-0.3"], ["law", "2. code", "-0.4"], ["code", "2. code", "1.1"],
        ["prose", "1. law", "-0.2"], ["law", "1. law", "1"], ["code", "1. law", "-0.1"],
    ]  # fmt: skip


def test_what_was_forgotten_and_carried_over_is_drawn_by_corpus_with_the_means():
    chart = stream_charts(stream())[0]
    panel = chart.panels[2]
    points = {mark.name: mark for mark in panel.marks if isinstance(mark, Points)}
    told = {name: dict(zip(mark.text, mark.x.round(6).tolist(), strict=True)) for name, mark in points.items()}
    assert told == {
        "forgetting": {"prose": 0.5, "law": 0.4, "mean": 0.45}, "backward transfer": {"prose": -0.5, "law": -0.4, "mean": -0.4},
        "forward transfer": {"code": -0.1, "mean": -0.1},
    }  # fmt: skip
    for mark in points.values():
        assert [panel.y.names[round(y)] for y in mark.y] == list(mark.text)
    assert "Retained 3.300, learned 3.500 nat/token." in chart.caption


def test_streams_are_drawn_a_way_each_and_the_rest_is_counted():
    one = Stream("replay.variant=none", ["a", "b"], [0, 1, 2], stream())
    charts = streams_charts([dataclasses.replace(one, way=f"w={i}") for i in range(6)])
    assert [chart.key for chart in charts[:-1]] == ["transfer_matrix", *(f"transfer_matrix_{i}" for i in (2, 3, 4))]
    assert charts[1].title == "Transfer over law → code (w=1)"
    assert charts[1].caption.startswith("Runs a, b, seed 0. ")
    assert charts[-1].title == "Streams: 2 further ways of training and 8 further seeds of these"
    assert [type(chart) for chart in streams_charts([dataclasses.replace(one, seeds=[0])])] == [Chart]
    assert "none of these runs started from another" in streams_charts([])[0].because


def test_the_page_has_streams_and_tasks_where_they_are_handed_over(study, runs):
    table, fits, answer, facts = study
    odd = "<i>t</i>"
    names = ["prose", "law", odd]
    found = transfer(dataclasses.replace(stream().matrix, trained=names, corpora=names))
    verdicts = [paired_bootstrap(odd, np.zeros(9), np.ones(9), num_draws=200)]
    facts = facts | {"metrics": runs, "streams": [Stream(f"{odd}=1", ["a", odd], [0], found)], "tasks": verdicts}
    sections = figures(Story.of(table, fits, answer, facts))
    assert [chart.key for chart in sections[GAINED_AND_LOST]] == [*KEYS, "transfer_matrix", "tasks"]
    page = render(Story.of(table, fits, answer, facts), sections)
    assert 'id="transfer_matrix"' in page
    assert 'id="tasks"' in page
    assert "Transfer over law → &lt;i&gt;t&lt;/i&gt; (&lt;i&gt;t&lt;/i&gt;=1)" in page
    assert odd not in page
    assert "Stream(way=" not in page
    assert "Verdict(task=" not in page
    bare = figures(Story.of(table, fits, answer, facts | {"streams": [], "tasks": []}))[GAINED_AND_LOST]
    assert [one.title for one in bare if isinstance(one, Omitted)] == [STREAMS, TASKS]
    alone = figures(Story.of(table, fits, answer, {"tasks": verdicts}))[GAINED_AND_LOST]
    assert [chart.key for chart in alone] == ["tasks"]


def test_the_influence_matrix_names_who_was_trained_and_who_is_judged(runs):
    one = Alignment(["prose", "law"], np.array([[1, 1, 3, 3], [1, 1, 3, 3], [3, 3, 9, 9], [3, 3, 9, 9]], float))
    diagnostics = dataclasses.replace(runs[0].diagnostics)
    object.__setattr__(diagnostics, "lines", [{"step": 10, "tokens_seen": 9.0, "gradients": {"corpora": one.corpora, "gram": one.gram}}])  # fmt: skip
    panel = run_charts([dataclasses.replace(runs[0], diagnostics=diagnostics)])[2].panels[1]
    field = next(mark for mark in panel.marks if isinstance(mark, Field))
    at = (list(panel.y.names).index("law"), list(panel.x.names).index("prose"))
    assert field.z[at] == pytest.approx(3)  # the law's gradient is three times as long, in the same direction


def test_every_figure_is_one_that_plotly_accepts(runs):
    import plotly.graph_objects as go

    verdicts = [paired_bootstrap(t, np.zeros(9), np.full(9, g), num_draws=200) for t, g in (("up", 1.0), ("same", 0.0), ("down", -1.0))]  # fmt: skip
    charts = [*run_charts(runs), *stream_charts(stream()), task_chart(verdicts)]
    for panel in (panel for chart in charts for panel in chart.panels):
        figure = interactive(panel)
        assert len(go.Figure(figure).data) == len(figure["data"])
        json.dumps(figure, allow_nan=False)
        assert len(panel.alt) > 30


def test_the_table_has_a_row_a_run_largest_first(runs):
    found = metrics_table(runs)
    assert [row[0] for row in found["rows"]] == ["a", "", "b", "", "c", "", "d", ""]
    assert all(len(row) == len(found["heads"]) for row in found["rows"])
    assert dict(zip(found["heads"], found["rows"][0], strict=True)) == {
        "run": "a", "size": "30k", "new text": "20 %", "base's potential": "0.10", "corpus": "prose",
        "loss": "1.900 ± 0.020", "perplexity": "6.7", "bit/byte": "0.685", "change": "−0.100 ± 0.028",
        "forgetting": "−0.100 ± 0.028", "worst": "+0.080 at 100", "break even": "500",
    }  # fmt: skip
    assert metrics_table([]) is None


def test_the_page_has_the_section_only_with_the_runs_at_hand(study, runs):
    table, fits, answer, facts = study
    story = Story.of(table, fits, answer, facts | {"metrics": runs})
    section = {GAINED_AND_LOST: run_charts(runs)}
    assert [chart.key for chart in figures(story)[GAINED_AND_LOST]] == KEYS
    page = render(story, section)
    assert f"<h2>{GAINED_AND_LOST}</h2>" in page
    assert "<h2>Gain and loss run by run</h2>" in page
    assert all(f'id="{key}"' in page for key in KEYS)
    assert "RunMetrics(" not in page
    assert GAINED_AND_LOST not in figures(Story.of(table, fits, answer, facts))


def test_bands_are_drawn_of_paired_rows_alone(runs):
    plain = next(mark for mark in run_charts(runs[:1])[0].panels[0].marks if mark.name == "this run")
    assert plain.low is None
    rows = {name: RowLosses([0, 1, 2, 5, 10], np.array([[10, 10], [10, 12], [9, 12], [9, 11], [9, 10]]), np.array([5, 5])) for name in ("prose", "law")}  # fmt: skip
    curves = {name: dataclasses.replace(curve, rows=rows[name]) for name, curve in runs[0].curves.items()}
    paired = run_charts([dataclasses.replace(runs[0], curves=curves)])[0].panels[0]
    line = next(mark for mark in paired.marks if mark.name == "this run")
    np.testing.assert_allclose((line.high - line.low)[0], 2 * 1.96 * 2**0.5 / 10)  # changes 0 and 2
