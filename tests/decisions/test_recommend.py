"""Answers to planted lines; the arithmetic stands beside each."""

import dataclasses

import numpy as np
import pytest

from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.errors import UserError


def test_the_cap_binds_where_the_line_crosses_it(lines):
    found = recommend(lines(), Tradeoff(max_general_rise=0.03))
    assert found.verdict == "run", found.because
    np.testing.assert_allclose(found.choice["domain_share"], 0.3)  # 2 + 0.2 r = 2.06
    np.testing.assert_allclose(found.predicted["general"][1], 2.06)
    np.testing.assert_allclose(found.predicted["law"][1], 3.7)
    assert found.choice["num_params"] == 3e6
    assert found.choice["tokens"] == 1e6
    assert "cap on the general loss" in found.binding
    assert found.base_loss == {"general": 2.0, "law": 4.0}
    assert (found.question["general"], found.question["domain"]) == ("general", "law")
    assert found.extrapolation == []


def test_the_interval_holds_the_quantiles_of_the_answers_of_the_draws(lines):
    slopes = np.linspace(0.15, 0.3, 101)
    found = recommend(lines(slope=0.2, slopes=slopes), Tradeoff(level=0.9, max_interval_width=1))
    expected = np.quantile(0.06 / slopes, [0.05, 0.95])
    np.testing.assert_allclose(found.interval["domain_share"], expected, atol=1e-9)


def test_draws_of_the_two_corpora_are_paired(lines):
    """Draw 0: cap at 0.6, rising domain loss, best at 0. Draw 1: falling, cap at 0.3. Crossed: 0.6."""
    fits = lines(slopes=(0.1, 0.2))
    rising = dataclasses.replace(fits["law"], draws=np.array([[4.0, 1.0], [4.0, -1.0]]))
    found = recommend(fits | {"law": rising}, Tradeoff(level=0.98, max_interval_width=1))
    low, high = found.interval["domain_share"]
    np.testing.assert_allclose([low, high], [0.01 * 0.3, 0.99 * 0.3], atol=1e-9)


def test_a_cap_that_never_binds_gives_share_one_and_says_upper_end(lines):
    found = recommend(lines(), Tradeoff(max_general_rise=0.2))
    assert found.choice["domain_share"] == 1
    assert "upper end" in found.binding
    assert found.interval["domain_share"] == (1, 1)


def test_a_cap_that_not_even_share_zero_meets_is_an_abstention(lines):
    found = recommend(lines(start=2.1, slopes=(0.2, 0.2)), Tradeoff(max_general_rise=0.03))
    assert found.verdict == "abstain"
    assert found.choice == {}
    assert "o domain share keeps the predicted general loss under its cap, a rise of 0.03" in found.because
    assert found.curves is not None


def test_a_wide_interval_is_a_reason_to_measure_first_and_names_its_ends_as_next_runs(lines):
    found = recommend(lines(slope=0.2, slopes=np.linspace(0.1, 0.3, 41)), Tradeoff(), sizes={3e6: "3m"})
    assert found.verdict == "measure_first"
    assert "wider than 0.2 (question.max_interval_width)" in found.because
    assert [run["mixture.domain_share"] for run in found.next_runs] == [0.21, 0.3, 0.55]
    assert found.next_runs[0]["model.size"] == "3m"
    assert found.next_runs[0]["tokens"] == 1e6


def test_draws_without_an_answer_are_counted(lines):
    fits = lines(slopes=[0.2] * 10)
    bad = fits["general"].draws.copy()
    bad[:3, 0] += 0.1  # 2.1 at share 0: over the cap everywhere
    fits["general"] = dataclasses.replace(fits["general"], draws=bad)
    found = recommend(fits, Tradeoff(max_interval_width=1))
    assert found.verdict == "measure_first"
    assert "n 30% of the draws no share meets the question" in found.because


def test_a_law_no_better_than_the_nearest_run_is_not_believed(lines):
    found = recommend(lines(rmse=0.02, nearest=0.01), Tradeoff())
    assert found.verdict == "measure_first"
    assert "no better than the nearest run (0.01)" in found.because


def test_a_heldout_error_that_moves_the_choice_too_far_is_named(lines):
    found = recommend(lines(rmse=0.05, nearest=0.1), Tradeoff())  # 0.05 nat / slope 0.2 = 0.25 of share
    assert found.verdict == "measure_first"
    assert "moves the choice by 0.25" in found.because


def test_without_a_heldout_error_nothing_is_claimed(lines):
    fits = {name: dataclasses.replace(fit, heldout={}, baselines={}) for name, fit in lines().items()}
    found = recommend(fits, Tradeoff())
    assert found.verdict == "measure_first"
    assert "he error of general on left-out shares was not measured" in found.because


def test_a_fit_that_did_not_converge_is_named(lines):
    found = recommend(lines(success=False), Tradeoff())
    assert found.verdict == "measure_first"
    assert "the fit of law did not converge" in found.because


def test_a_size_far_beyond_the_grid_is_extrapolation_with_its_factor(lines):
    question = Tradeoff(num_params=8.1e7, base_loss={"general": 2.0})
    found = recommend(lines(), question)
    assert found.verdict == "measure_first"
    assert "num_params 8.1e+07 is 27x the largest measured 3e+06" in found.extrapolation


def test_a_size_just_beyond_the_grid_may_run_where_a_heldout_size_backs_it(lines):
    question = Tradeoff(num_params=9e6, base_loss={"general": 2.0, "law": 4.0})
    assert recommend(lines(), question).verdict == "measure_first"
    backed = recommend(lines(size_rmse=0.001), question)
    assert backed.verdict == "run", backed.because
    assert len(backed.extrapolation) == 1


def test_the_base_loss_of_an_unmeasured_size_is_a_flagged_power_law(lines):
    fits = lines(base_loss=(4.0, 1.0), sizes=(1e6, 4e6))
    found = recommend(fits, Tradeoff(num_params=2e6, max_general_rise=0.03))
    np.testing.assert_allclose(found.base_loss["general"], 2.0)  # L = 4 (N / 1e6)^-1
    assert found.verdict == "measure_first"
    assert any("base loss of general at num_params 2e+06 was not measured" in s for s in found.extrapolation)


def test_a_choice_outside_the_measured_shares_is_not_run(lines):
    found = recommend(lines(shares=(0.4, 0.6, 0.8)), Tradeoff())
    assert found.verdict == "measure_first"
    assert "domain_share 0.300 is below the smallest measured 0.4" in found.extrapolation


def test_a_missing_base_loss_is_asked_for_by_name(lines):
    with pytest.raises(UserError, match=r"question\.base_loss=\{general: 2\.87\}"):
        recommend(lines(base_loss=None), Tradeoff())


def test_an_unknown_corpus_is_answered_with_the_nearest(lines):
    with pytest.raises(UserError, match=r"question\.domain=lww was not fitted\. Did you mean law\?"):
        recommend(lines(), Tradeoff(domain="lww"))


def test_fits_with_unequal_draws_cannot_be_paired(lines):
    fits = lines()
    fits["law"] = dataclasses.replace(fits["law"], draws=fits["law"].draws[:2])
    with pytest.raises(UserError, match="cannot be paired"):
        recommend(fits, Tradeoff())


def test_a_misfit_of_the_law_widens_the_interval(lines):
    exact = lines(slopes=[0.2] * 2000)
    off = {"general": dataclasses.replace(exact["general"], residuals=np.full(8, 0.004))}
    found = recommend(exact | off, Tradeoff(level=0.9))
    low, high = found.interval["domain_share"]  # 0.3 +- 1.645 x 0.004 / 0.2
    np.testing.assert_allclose([low, high], [0.2671, 0.3329], atol=3e-3)


def test_recommendation_json_has_the_names_that_others_read(lines):
    content = recommend(lines(), Tradeoff()).to_json()
    names = {"verdict", "choice", "interval", "level", "predicted", "binding", "extrapolation", "because"}
    assert names | {"next_runs"} <= content.keys()
    assert content["interval"].keys() == {"domain_share"}
    assert len(content["predicted"]["law"]) == 3


def test_measured_losses_at_the_asked_size_and_tokens_hold_the_choice(lines):
    """The law says 2 + 0.2 r, the runs say 2 + 0.3 r: the cap binds where the runs cross it, 0.06 / 0.3."""
    fits = lines(slope=0.2, slopes=np.linspace(0.15, 0.3, 101), shares=np.linspace(0, 1, 11))
    general = fits["general"]
    loss = 2 + 0.3 * general.observations["domain_share"]
    rows = dataclasses.replace(general.observations, columns={**general.observations.columns, "loss": loss})
    measured = dataclasses.replace(general, observations=rows, residuals=loss - general.predicted)
    found = recommend(fits | {"general": measured}, Tradeoff())
    assert found.choice["domain_share"] == pytest.approx(0.2, abs=0.003)  # the law alone says 0.06 / 0.2 = 0.3
    low, high = found.interval["domain_share"]
    assert low < 0.2 < high < 0.22
    assert low > 0.18
