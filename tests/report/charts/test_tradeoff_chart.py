import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from planted_stories import marks_of, story_of, table

from cptlab.report.charts.deltas import delta_against_share, delta_at_choice
from cptlab.report.charts.tradeoff import pareto_front, tradeoff
from cptlab.report.marks import Line, Omitted, Points, Span

PLACE = st.integers(-4, 4).map(float)


def four_runs():
    """Base loss 2 on both; domain falls by .1, .5, .4, .6 while general rises by 1, 3, 5, 10 %."""
    rows = {"loss": [], "base_loss": [], "domain_share": [], "tokens": [], "num_params": []}
    run, domain = [], []
    for i, (gain, rise) in enumerate([(0.1, 0.01), (0.5, 0.03), (0.4, 0.05), (0.6, 0.10)]):
        for name, loss in (("law", 2 - gain), ("general", 2 * (1 + rise))):
            for key, value in zip(rows, (loss, 2.0, 0.25 * i, 1e6, 1e5), strict=True):
                rows[key].append(value)
            run.append(f"r{i}")
            domain.append(name)
    return table(rows, run, domain)


def test_a_run_with_less_gain_and_more_forgetting_is_not_on_the_front():
    rise, gain = np.array([5.0, 1.0, 10.0, 3.0]), np.array([0.4, 0.1, 0.6, 0.5])
    assert pareto_front(rise, gain).tolist() == [1, 3, 2]


def test_of_equal_runs_the_first_is_on_the_front_and_of_equal_gains_the_one_that_forgets_less():
    assert pareto_front(np.array([1.0, 1.0, 2.0]), np.array([0.5, 0.5, 0.5])).tolist() == [0]


@given(runs=st.lists(st.tuples(PLACE, PLACE), min_size=1, max_size=12))
def test_every_run_off_the_front_is_matched_by_one_on_it(runs):
    rise, gain = np.array(runs).T
    front = pareto_front(rise, gain)
    assert (np.diff(rise[front]) > 0).all()
    assert (np.diff(gain[front]) > 0).all()
    for i in range(len(runs)):
        assert ((rise[front] <= rise[i]) & (gain[front] >= gain[i])).any()


def test_the_figure_draws_the_front_of_the_runs_and_shades_what_breaks_the_limit():
    question = {"general": "general", "domain": "law", "max_general_rise": 0.04}
    chart = tradeoff(story_of(four_runs(), question=question))
    front = marks_of(chart, Line)["front 100k"]
    np.testing.assert_allclose(front.x, [1, 3, 10])
    np.testing.assert_allclose(front.y, [0.1, 0.5, 0.6])
    assert marks_of(chart, Span)["not allowed"].low == 4
    assert "0 %, 25 %, 75 %" in chart.panels[0].alt


def test_without_a_general_corpus_nothing_tells_gain_from_forgetting():
    rows = four_runs()
    alone = rows.where(rows.domain == "law")
    assert isinstance(tradeoff(story_of(alone, question={"domain": "law"})), Omitted)


def test_the_change_at_the_choice_is_told_corpus_by_corpus_with_its_interval():
    predicted = {"law": (1.4, 1.5, 1.7), "general": (2.0, 2.1, 2.2)}
    chart = delta_at_choice(
        story_of(four_runs(), predicted=predicted, base_loss={"law": 2.0, "general": 2.0}, verdict="run")
    )
    (points,) = marks_of(chart, Points).values()
    assert chart.panels[0].y.names == ["general", "law"]
    np.testing.assert_allclose(points.x, [0.1, -0.5])
    np.testing.assert_allclose(points.x_error, [[0.1, 0.1], [0.1, 0.2]])
    assert list(points.labels) == ["+5.0 %", "−25.0 %"]


def test_the_change_by_share_has_a_panel_for_each_corpus_and_no_mean_of_corpora():
    chart = delta_against_share(story_of(four_runs()))
    assert [panel.title.split(":")[0] for panel in chart.panels] == ["law", "general"]
    np.testing.assert_allclose(marks_of(chart, Line)["100k"].y, [-0.1, -0.5, -0.4, -0.6])
    np.testing.assert_allclose(marks_of(chart, Line, 1)["100k"].y, [0.02, 0.06, 0.1, 0.2])
