import dataclasses

import numpy as np
import pytest
from planted_stories import marks_of

from cptlab.report.charts.correlation import correlation, rank_correlation
from cptlab.report.charts.heldout import heldout_error
from cptlab.report.charts.predicted import predicted_against_measured
from cptlab.report.charts.residuals import residuals
from cptlab.report.grid import Story
from cptlab.report.marks import Field, Line, Points, Rule


@pytest.fixture(scope="module")
def story(study):
    return Story.of(*study)


def test_parameters_that_rise_together_over_the_draws_have_rank_correlation_one(study):
    fit = study[1]["code"]
    k = np.linspace(1, 2, 20)
    draws = np.tile(fit.theta, (20, 1))
    draws[:, 0], draws[:, 1], draws[:, 4] = k, np.exp(k), -(k**3)  # E, A, alpha; the others stand still
    names, rho = rank_correlation(dataclasses.replace(fit, draws=draws))
    assert names == ["E", "A", "alpha"]
    np.testing.assert_allclose(rho, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_the_matrix_stands_with_the_first_parameter_on_top(story):
    chart = correlation(story)
    (field,) = marks_of(chart, Field).values()
    panel = chart.panels[0]
    assert list(panel.y.names) == list(panel.x.names)[::-1]
    np.testing.assert_allclose(np.diag(field.z[::-1]), 1)


def test_held_out_error_is_that_of_the_fit_beside_every_baseline(story):
    chart = heldout_error(story)
    fit = next(iter(story.fits.values()))
    points = marks_of(chart, Points)
    place = list(chart.panels[0].y.names).index("a share")
    assert points["law dcpt"].x[place] == pytest.approx(1000 * fit.heldout["ratio"].rmse)
    assert points["nearest run"].x[place] == pytest.approx(1000 * fit.baselines["nearest_run"]["ratio"].rmse)
    assert marks_of(chart, Rule)["seed noise"].at == pytest.approx(1000 * fit.seed_noise)


def test_residuals_are_measured_minus_predicted_against_share_tokens_size_and_run(story):
    chart = residuals(story)
    fit = story.fits["code"]
    titles = [panel.title for panel in chart.panels]
    assert titles[:4] == ["code: against share", "code: against tokens", "code: against size", "code: by run"]
    np.testing.assert_allclose(marks_of(chart, Points)["row"].y, 1000 * fit.residuals)
    runs = marks_of(chart, Points, 3)["mean of a run, and its range"]
    assert len(runs.x) == fit.num_runs
    assert (np.diff(runs.y) >= 0).all()
    first = runs.text[0].removeprefix("run ")
    own = 1000 * fit.residuals[fit.observations.run == first]
    assert runs.y[0] == pytest.approx(own.mean())
    assert runs.y[0] - runs.y_error[0][0] == pytest.approx(own.min())
    assert "median" in marks_of(chart, Line)


def test_the_change_alone_takes_the_base_loss_off_both_axes(story):
    chart = predicted_against_measured(story)
    whole, change = (marks_of(chart, Points, k)["fitted"] for k in (0, 1))
    base = story.fits["code"].observations["base_loss"]
    np.testing.assert_allclose(whole.x - change.x, base)
    np.testing.assert_allclose(whole.y - change.y, base)
