"""Contours and extrapolation of a law whose parameters are planted."""

import dataclasses

import numpy as np
import pytest
from planted_stories import marks_of, story_of, table
from report_grid import SIZES, TOKENS, TRUE

from cptlab.fitting.fit import fit
from cptlab.laws.dcpt import DCPT
from cptlab.report.charts.contours import contours_lr, contours_tokens
from cptlab.report.charts.extrapolation import extrapolation_size, extrapolation_tokens
from cptlab.report.charts.loss_against_share import loss_against_share
from cptlab.report.grid import Story
from cptlab.report.marks import Field, Line, Omitted, Points, Rule, Span


@pytest.fixture(scope="module")
def story(study):
    observations, fits, answer, _ = study
    true = {name: dataclasses.replace(fits[name], theta=TRUE[k]) for k, name in enumerate(("code", "general"))}
    return Story.of(observations, true, dataclasses.replace(answer, curves=None), {})


def law(share, tokens, size, k):
    columns = {"num_params": size, "tokens": tokens, "share": share}
    return DCPT().predict(TRUE[k], {name: np.atleast_1d(np.asarray(x, float)) for name, x in columns.items()})


def test_contours_hold_the_law_at_every_share_and_number_of_tokens(story):
    chart = contours_tokens(story)
    for k in (0, 1):
        (field,) = marks_of(chart, Field, k).values()
        i, j = 7, 30
        share = field.x[j] / 100 if k == 0 else 1 - field.x[j] / 100
        assert field.z[i, j] == pytest.approx(law(share, field.y[i], SIZES[-1], k)[0], rel=1e-9)
        assert field.low[i, j] <= field.high[i, j]
        assert (field.y[0], field.y[-1]) == (pytest.approx(TOKENS.min()), pytest.approx(TOKENS.max()))


def test_contours_over_the_learning_rate_are_left_out_where_the_law_reads_none(story):
    assert contours_lr(story) == Omitted(contours_lr(story).title, "law=dcpt reads no learning rate")


def test_the_band_along_the_size_is_that_of_the_draws_and_the_measured_range_is_shaded(story):
    chart = extrapolation_size(story)
    line, span = marks_of(chart, Line)["law"], marks_of(chart, Span)["measured range"]
    assert (span.low, span.high) == (SIZES[0], SIZES[-1])
    assert line.x[-1] == pytest.approx(10 * SIZES[-1])
    share = 0.9  # the measured one nearest to the choice
    np.testing.assert_allclose(line.y, law(np.full(61, share), np.full(61, TOKENS.max()), line.x, 0))
    draws = story.fits["code"].draws
    columns = {"num_params": line.x[-1:], "tokens": TOKENS.max() * np.ones(1), "share": np.full(1, share)}
    ends = np.quantile(DCPT().predict(draws, columns)[:, 0], [0.05, 0.95])
    assert (line.low[-1], line.high[-1]) == (pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert len(marks_of(chart, Points)["measured there"].x) == 3
    assert marks_of(chart, Rule)["asked 301k"].at == SIZES[-1]


def test_the_band_along_the_tokens_goes_ten_times_beyond(story):
    chart = extrapolation_tokens(story)
    line = marks_of(chart, Line)["law"]
    assert line.x[-1] == pytest.approx(10 * TOKENS.max())
    assert line.high[-1] - line.low[-1] > line.high[30] - line.low[30]
    assert "301k parameters" in chart.panels[0].title


def test_a_law_without_a_quantity_says_so_instead_of_a_figure():
    rng = np.random.default_rng(0)
    rows = {"domain_share": [], "loss": [], "num_params": [], "tokens": [], "base_loss": []}
    run = [f"r{i}" for i in range(8)]
    for i in range(8):
        share = 0.1 + 0.1 * i
        values = (share, 3 - 0.5 * share**0.5 + rng.normal(0, 1e-4), 1e6, 1e8, 3.1)
        for key, value in zip(rows, values, strict=True):
            rows[key].append(value)
    observations = table(rows, run, ["law"] * 8)
    story = story_of(observations, {"law": fit("cmr", observations, num_draws=5)})
    assert extrapolation_size(story).because == "law=cmr reads no num_params"


def test_mixtures_of_three_corpora_are_left_out_of_figures_over_one_share():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([1, 1, 1], 20)
    names = ("share_code", "share_law", "share_general")
    rows = {name: np.tile(shares[:, k], 3).tolist() for k, name in enumerate(names)}
    rows |= {"loss": [], "tokens": [1e8] * 60}
    for k in range(3):
        rows["loss"] += (2 + 0.5 * np.exp(-2 * shares[:, k]) + rng.normal(0, 1e-3, 20)).tolist()
    domains = np.repeat([name.removeprefix("share_") for name in names], 20).tolist()
    observations = table(rows, [f"m{i}" for i in range(20)] * 3, domains)
    fits = {name: fit("mixing", observations, domain=name, num_draws=5) for name in ("code", "law", "general")}
    story = story_of(observations, fits, question={"general": "general", "domain": "code"})
    found = loss_against_share(story)
    assert isinstance(found, Omitted)
    assert found.because == "the mixtures of several corpora lie on no line"
