import pytest
from planted_stories import marks_of, story_of, table

from cptlab.report.charts.learning_rate import loss_against_lr
from cptlab.report.edges import edges
from cptlab.report.marks import Omitted, Points


def u_curve(losses, rates, share=0.5):
    n = len(losses)
    rows = {"loss": losses, "peak_lr": rates, "domain_share": [share] * n, "num_params": [1e6] * n, "tokens": [1e8] * n}
    return table(rows, [f"r{i}" for i in range(n)], ["law"] * n)


@pytest.mark.parametrize(
    ("losses", "open_", "words"),
    [
        ([2.3, 2.1, 2.2], False, "inside the measured grid"),
        ([2.1, 2.2, 2.3], True, "peak learning rate 1e-05, the lowest that was measured"),
        ([2.3, 2.2, 2.1], True, "peak learning rate 0.001, the highest that was measured"),
    ],
)
def test_a_best_learning_rate_at_the_edge_of_the_grid_is_flagged(losses, open_, words):
    (edge,) = edges(story_of(u_curve(losses, [1e-5, 1e-4, 1e-3]), question={"domain": "law"}))
    assert edge.open is open_
    assert words in edge.sentence


def test_two_learning_rates_have_no_inside():
    (edge,) = edges(story_of(u_curve([2.1, 2.2], [1e-5, 1e-4]), question={"domain": "law"}))
    assert edge.open
    assert "one of 2 levels only" in edge.sentence


def by_share(losses, shares):
    n = len(losses)
    rows = {"loss": losses, "domain_share": shares, "num_params": [1e6] * n, "tokens": [1e8] * n}
    return table(rows, [f"r{i}" for i in range(n)], ["law"] * n)


@pytest.mark.parametrize(
    ("shares", "open_", "words"),
    [
        ([0.1, 0.4, 0.8], True, "80 %, the highest that was measured"),
        ([0.1, 0.4, 1.0], False, "where the range of shares itself ends"),
    ],
)
def test_a_share_of_one_is_an_end_and_a_smaller_one_an_edge(shares, open_, words):
    (edge,) = edges(story_of(by_share([2.3, 2.2, 2.1], shares), question={"domain": "law"}))
    assert edge.open is open_
    assert words in edge.sentence


def test_a_choice_at_the_edge_of_what_was_measured_comes_first():
    found = edges(
        story_of(
            by_share([2.3, 2.1, 2.2], [0.1, 0.4, 0.8]), question={"domain": "law"}, choice={"domain_share": 0.8},
            verdict="run",
        )
    )  # fmt: skip
    assert [edge.open for edge in found] == [True, False]
    assert found[0].sentence.startswith("The chosen share, 80 %, lies at the edge of the measured range, 10 % to 80 %")


def test_learning_rates_are_drawn_where_there_are_several():
    chart = loss_against_lr(story_of(u_curve([2.3, 2.1, 2.2], [1e-5, 1e-4, 1e-3]), question={"domain": "law"}))
    assert marks_of(chart, Points)["50 %"].y.tolist() == [2.3, 2.1, 2.2]
    assert isinstance(loss_against_lr(story_of(by_share([2.0, 2.1], [0.1, 0.2]))), Omitted)
