"""Questions about tokens and compute, whose answers are closed forms; the arithmetic stands beside each."""

import dataclasses

import numpy as np
import pytest
from planted import GRID, HOFFMANN, Terms, chinchilla, dcpt, falling, general, planted

from cptlab.decisions.compute_optimal import ComputeOptimal, chinchilla_optimum
from cptlab.decisions.limited_domain_tokens import LimitedDomainTokens
from cptlab.decisions.reach_target import ReachTarget
from cptlab.decisions.recommend import recommend
from cptlab.errors import UserError
from cptlab.laws.almr_lr import AlmrLr

# ---------------------------------------------------------------- limited domain tokens


def test_scarce_tokens_are_stretched_to_the_minimum_of_the_two_powers():
    fit, p = dcpt()
    question = LimitedDomainTokens(domain_tokens=1e8, max_tokens=1e9, max_general_rise=None)
    found = recommend({"law": fit}, question)
    rising = p["B"] * 1e8 ** -p["beta"]
    share = (p["gamma"] * p["C"] / ((p["eta"] + p["beta"]) * rising)) ** (1 / (p["eta"] + p["beta"] + p["gamma"]))
    assert 0.1 < share < 1
    np.testing.assert_allclose(found.choice["domain_share"], share, rtol=1e-5)
    np.testing.assert_allclose(found.choice["tokens"], 1e8 / share, rtol=1e-5)
    assert found.verdict == "run", found.because
    assert found.binding.startswith("nothing: the predicted law loss is lowest at")
    assert found.interval.keys() == {"domain_share", "tokens"}


def test_without_gain_from_share_the_longest_run_binds():
    fit, _ = dcpt(C=0.0)  # f(r) rises with r throughout
    found = recommend({"law": fit}, LimitedDomainTokens(domain_tokens=1e8, max_tokens=4e8, max_general_rise=None))
    np.testing.assert_allclose(found.choice["domain_share"], 0.25)
    assert "the longest run (max_tokens=4e+08) binds" in found.binding


def test_a_cap_on_the_general_rise_stops_a_growing_share():
    fit, _ = dcpt(B=0.0)  # f(r) falls with r throughout; 2 + .2 r = 2.06
    found = recommend({"law": fit, "general": general()}, LimitedDomainTokens(domain_tokens=1e8, max_tokens=1e9))
    np.testing.assert_allclose(found.choice["domain_share"], 0.3, rtol=1e-4)
    assert "the cap on the general loss (max_general_rise=0.03 of the base loss) binds" in found.binding
    assert found.curves is not None
    assert found.curves.allowed == {"general": 2.06}


def test_domain_tokens_that_are_not_scarce_are_refused():
    with pytest.raises(UserError, match=r"they are not scarce; ask question=tradeoff"):
        recommend({"law": dcpt()[0]}, LimitedDomainTokens(domain_tokens=1e10, max_general_rise=None))


# ---------------------------------------------------------------- compute


def test_the_compute_optimum_of_chinchilla_is_its_closed_form():
    found = recommend(chinchilla(), ComputeOptimal(flops=6e19))
    N, D = chinchilla_optimum(HOFFMANN, 6e19)
    np.testing.assert_allclose(6 * N * D, 6e19)
    np.testing.assert_allclose([found.choice["num_params"], found.choice["tokens"]], [N, D], rtol=1e-4)
    assert found.verdict == "run", found.because
    assert "domain_share" not in found.choice
    assert found.profile is not None
    assert found.profile.axis == "num_params"


def test_dcpt_at_a_fixed_share_has_the_closed_form_with_b_times_share_to_the_eta():
    fit, p = dcpt(A=400.0, B=400.0, alpha=0.34, beta=0.28)
    found = recommend({"law": fit}, ComputeOptimal(flops=6e15, domain_share=0.25))
    N, D = chinchilla_optimum(p | {"B": p["B"] * 0.25 ** p["eta"]}, 6e15)
    np.testing.assert_allclose([found.choice["num_params"], found.choice["tokens"]], [N, D], rtol=1e-4)
    assert found.choice["domain_share"] == 0.25


def test_a_free_share_is_chosen_under_the_cap_together_with_the_size():
    law = Terms(
        terms=[lambda c: c["num_params"] ** -0.34, lambda c: c["tokens"] ** -0.28, lambda c: 5 - c["share"]],
        inputs=("num_params", "tokens", "share"),
    )
    fits = {"law": planted(law, (400, 400, 1), GRID), "general": general()}
    found = recommend(fits, ComputeOptimal(flops=6e15, max_general_rise=0.03))
    N, _ = chinchilla_optimum(dict(A=400, B=400, alpha=0.34, beta=0.28), 6e15)
    np.testing.assert_allclose(found.choice["num_params"], N, rtol=1e-4)
    np.testing.assert_allclose(found.choice["domain_share"], 0.3, atol=0.02)  # grid of shares, 1/50 apart
    assert "the cap on the general loss" in found.binding


def test_a_size_beyond_the_box_is_said_to_lie_at_its_end():
    found = recommend(chinchilla(), ComputeOptimal(flops=6e19, min_num_params=1e9, max_num_params=2e10))
    assert found.verdict == "measure_first"
    assert "he best num_params lies at the lower end of what was asked" in found.because


def test_an_uncertain_size_is_measured_first():
    fits = chinchilla(spread=0.2)
    question = ComputeOptimal(flops=6e19, max_interval_factor=1.05)
    found = recommend(fits, question)
    low, high = found.interval["num_params"]
    assert high > 1.05 * low
    assert "spans more than a factor of 1.05 (question.max_interval_factor)" in found.because


def test_a_law_of_a_share_needs_a_share_or_a_cap():
    with pytest.raises(UserError, match=r"give question\.domain_share, or question\.max_general_rise"):
        recommend({"law": dcpt()[0]}, ComputeOptimal(flops=6e15))


def test_a_law_without_size_cannot_split_compute():
    law = AlmrLr()
    grid = {"domain_share": (0.2, 0.5, 0.8), "peak_lr": (1e-4, 1e-3)}
    with pytest.raises(UserError, match=r"law=almr_lr does not read num_params, so no size can be chosen"):
        recommend({"law": planted(law, [1] * 6, grid)}, ComputeOptimal(flops=6e15, domain_share=0.5))


# ---------------------------------------------------------------- target


def test_the_shortest_run_to_a_target_at_a_fixed_share():
    found = recommend({"law": falling()}, ReachTarget(target_loss=3.6, domain_share=0.5, max_general_rise=None))
    np.testing.assert_allclose(found.choice["tokens"], (1000 / 0.1) ** 2, rtol=2e-3)  # 3.5 + 1000/sqrt(D) = 3.6
    assert "the target (target_loss=3.6 on law) binds" in found.binding
    assert found.verdict == "run", found.because


def test_the_share_of_the_shortest_run_is_stopped_by_the_cap():
    found = recommend({"law": falling(), "general": general()}, ReachTarget(target_loss=3.8))
    np.testing.assert_allclose(found.choice["domain_share"], 0.3, atol=0.01)
    np.testing.assert_allclose(found.choice["tokens"], (1000 / 0.1) ** 2, rtol=0.01)  # 3.7 + 1000/sqrt(D) = 3.8
    assert "the target" in found.binding
    assert "the cap on the general loss" in found.binding


def test_a_target_out_of_reach_is_an_abstention():
    found = recommend({"law": falling()}, ReachTarget(target_loss=2.9, max_general_rise=None))
    assert found.verdict == "abstain"
    assert found.because == "No run of up to 1e+10 tokens is predicted to bring law to 2.9 nat/token."


def test_a_target_far_beyond_the_measured_tokens_is_extrapolation():
    fit = dataclasses.replace(falling(), heldout={}, baselines={})
    found = recommend({"law": fit}, ReachTarget(target_loss=3.02, domain_share=1, max_general_rise=None))
    np.testing.assert_allclose(found.choice["tokens"], 2.5e9, rtol=2e-3)  # 3 + 1000/sqrt(D) = 3.02
    assert found.verdict == "measure_first"
    assert "tokens 2.5e+09 is 2.5x the largest measured 1e+09" in found.extrapolation
    assert "no held-out tokens shows that the law reaches so far" in found.because
