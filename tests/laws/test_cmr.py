"""CMR: published predictions and ratios, planted parameters, what is feasible."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.objective import Problem
from cptlab.fitting.solve import solve
from cptlab.laws.cmr import CMR
from cptlab.laws.cmr_tokens import CMRDomain, CMRGeneral
from cptlab.laws.critical import (
    critical_ratio,
    exchange,
    exchange_margin,
    general_rise,
    largest_feasible,
    ratio_after,
    share_at_loss,
)

# domain loss after 20B tokens at R = 3/4, 1/2, 1/3, the paper's prediction at 1/4, its measured value (2407.17467)
PUBLISHED = {
    "460M": ((1.4844, 1.5122, 1.5387), 1.5566, 1.5561),
    "940M": ((1.3910, 1.4155, 1.4385), 1.4538, None),
    "1.6B": ((1.3416, 1.3643, 1.3854), 1.3994, None),
    "3.1B": ((1.2750, 1.2965, 1.3170), 1.3305, None),
}
RATIOS = {  # alpha4, s4, beta3 as printed, and R_CMR at T = 100 units of 0.2B tokens
    "460M": ((0.22524761, 0.26944345, -0.48139982), 0.298),
    "940M": ((0.7520627, 0.13720245, -1.06581937), 0.349),
    "1.6B": ((-2.36384831, -0.15125569, 1.59223649), 0.414),
    "3.1B": ((-2.5368197, -0.42071423, 0.84375368), 0.478),
}
UNITS = np.arange(1.0, 101.0, 3)
#                      base alpha2 alpha3 beta2 s2   s3
GENERAL = np.array([1.0, 0.3, -0.02, -0.2, 0.2, 0.6])
DOMAIN = np.array([1.0, -0.05, 0.03, 0.3])  # base, alpha1, beta1, s1


@pytest.mark.parametrize("size", PUBLISHED)
def test_three_shares_predict_the_fourth_as_published(size: str):
    losses, predicted, measured = PUBLISHED[size]
    problem = Problem(CMR(), {"domain_share": np.array([3 / 4, 1 / 2, 1 / 3])}, np.array(losses), *CMR().bounds)
    theta = solve(problem, np.ones((1, 3))).theta[0]
    got = CMR().predict(theta, {"domain_share": np.array([0.25])})[0]
    assert got == pytest.approx(predicted, abs=1e-3)
    if measured:
        assert got == pytest.approx(measured, abs=1e-3)


@pytest.mark.parametrize("size", RATIOS)
def test_published_critical_ratios_after_20b_tokens(size: str):
    parameters, ratio = RATIOS[size]
    assert ratio_after(100, *parameters) == pytest.approx(ratio, abs=5e-4)


def test_planted_parameters_come_back_and_end_points_are_left_out():
    shares = np.array([0.0, 0.125, 0.25, 1 / 3, 0.5, 0.75, 1.0])
    loss = np.where(shares % 1 == 0, 9.0, 0.4 * np.where(shares > 0, shares, 1) ** -0.25 + 1.1)
    fit = cptlab.fit("cmr", pd.DataFrame({"domain_share": shares, "loss": loss}), num_draws=0)
    np.testing.assert_allclose(fit.theta, [0.4, 1.1, -0.25], rtol=1e-6)
    assert "2 rows left out (domain_share outside (0, 1), where law=cmr says nothing)" in fit.message
    assert set(fit.heldout) == {"ratio", "ratio_ends"}
    assert share_at_loss(fit.theta, 0.4 * 0.3**-0.25 + 1.1) == pytest.approx(0.3)
    assert np.isnan(share_at_loss(fit.theta, 1.0))


def test_only_the_last_row_of_each_run_is_fitted_and_runs_must_end_alike():
    shares = np.repeat([0.2, 0.4, 0.6, 0.8], 2)
    table = pd.DataFrame({"domain_share": shares, "tokens": [1e8, 2e8] * 4, "run": shares.astype(str)})
    table["loss"] = np.where(table["tokens"] == 1e8, 7.0, 0.4 * shares**-0.25 + 1.1)
    fit = cptlab.fit("cmr", table, num_draws=0, heldout=False)
    assert fit.num_points == 4
    assert fit.objective < 1e-20
    assert "4 rows left out (rows before the last of their run" in fit.message
    with pytest.raises(UserError, match=r"law=cmr takes one value of tokens a fit, the table has 1e\+08 to 2e\+08"):
        cptlab.fit("cmr", table.drop(index=7))
    with pytest.raises(UserError, match="takes one value of num_params a fit"):
        cptlab.fit("cmr", table.assign(num_params=[1e6] * 4 + [2e6] * 4))


@pytest.mark.parametrize(("law", "theta"), [(CMRDomain(), DOMAIN), (CMRGeneral(), GENERAL)])
def test_laws_over_tokens_give_planted_curves_back(law, theta):
    columns = {"tokens": UNITS * 2e8, "base_loss": np.full(len(UNITS), 2.5)}
    table = columns | {"run": np.full(len(UNITS), "one"), "loss": law.predict(theta, columns)}
    fit = cptlab.fit(law, table, num_draws=0, heldout=False)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-4)
    assert fit.parameters["base"] == 1


def test_the_base_loss_is_taken_from_the_row_before_the_first_update():
    columns = {"tokens": UNITS * 2e8, "base_loss": np.full(len(UNITS), 2.5)}
    loss = np.concatenate([[2.5], CMRDomain().predict(DOMAIN, columns)])
    table = {"tokens": np.concatenate([[0.0], columns["tokens"]]), "loss": loss, "run": np.full(len(loss), "one")}
    fit = cptlab.fit("cmr_domain", table, num_draws=0, heldout=False)
    np.testing.assert_allclose(fit.theta, DOMAIN, rtol=1e-5)


def test_the_general_loss_rises_and_then_falls():
    rise = general_rise(GENERAL, np.array([1.0, 30.0, 1e4]))
    np.testing.assert_allclose(rise[0], 0.3 - 0.02 - 0.2)
    assert rise[1] > rise[0] > rise[2]


@given(seed=st.integers(0, 10_000), lam=st.floats(0.1, 10))
def test_the_exchange_margin_is_the_minimum_over_a_fine_grid(seed: int, lam: float):
    domain, general = _random_curves(seed, 1)
    T = np.geomspace(1, 100, 4001)
    grid = exchange(domain, general, lam, T)
    assert float(exchange_margin(domain, general, lam, 100.0)[0]) == pytest.approx(-grid.min(), rel=1e-4, abs=1e-9)


@given(
    seed=st.integers(0, 10_000), lam=st.floats(0.1, 10), tolerance=st.floats(-0.1, 0.3), more=st.floats(0, 0.3)
)  # fmt: skip
def test_a_larger_tolerance_never_lowers_the_critical_ratio(seed: int, lam: float, tolerance: float, more: float):
    shares = np.array([0.125, 0.25, 1 / 3, 0.5, 0.75])
    domain, general = _random_curves(seed, len(shares))
    tight, wide = (
        float(critical_ratio(shares, domain, general, lam=lam, T_max=100.0, tolerance=tol))
        for tol in (tolerance, tolerance + more)
    )
    assert np.isnan(tight) or wide >= tight


def test_the_critical_ratio_by_hand():
    #  dL_gen(T_max) = 0, .04, .06 at R = .2, .4, .6: a rise of .05 lies half-way between the last two
    shares = np.array([0.2, 0.4, 0.6])
    np.testing.assert_allclose(largest_feasible(shares, 0.05 - np.array([0.0, 0.04, 0.06])), 0.5)
    assert np.isnan(largest_feasible(shares, np.full(3, -1.0)))
    assert largest_feasible(shares, np.full(3, 1.0)) == 0.6
    #  domain loss falls by 1 a unit of T, the general rises by 1/4: worth it up to lambda = 4
    domain, general = np.array([[1, -1, 0, 1.0]] * 3), np.zeros((3, 6))
    general[:, 1], general[:, 4] = 0.25, 1.0
    assert critical_ratio(shares, domain, general, lam=3.9, T_max=1, tolerance=1) == 0.6
    assert np.isnan(critical_ratio(shares, domain, general, lam=4.1, T_max=1, tolerance=1))


def test_a_lambda_decides_what_is_worth_its_cost():
    shares = np.array([0.25, 0.5])
    domain, general = np.stack([DOMAIN, DOMAIN]), np.stack([GENERAL, GENERAL * [1, 3, 1, 1, 1, 1]])
    options = {"T_max": 50.0, "tolerance": 5.0}
    assert critical_ratio(shares, domain, general, lam=0.1, **options) == 0.5
    assert 0.25 <= critical_ratio(shares, domain, general, lam=0.45, **options) < 0.5
    draws = np.tile(domain, (7, 1, 1)), np.tile(general, (7, 1, 1))
    assert critical_ratio(shares, *draws, lam=0.1, **options).shape == (7,)


def test_a_unit_of_tokens_must_be_positive():
    with pytest.raises(UserError, match=r"law\.tokens_unit is -1"):
        CMRGeneral(tokens_unit=-1)


def _random_curves(seed: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    general = np.stack([
        np.ones(m), rng.uniform(0, 0.4, m), rng.uniform(-0.1, 0.05, m), rng.uniform(-0.3, 0.1, m),
        rng.uniform(0.05, 0.3, m), rng.uniform(0.35, 0.7, m),
    ], axis=1)  # fmt: skip
    domain = np.stack(
        [np.ones(m), rng.uniform(-0.3, 0, m), rng.uniform(-0.1, 0.1, m), rng.uniform(0.1, 0.5, m)], axis=1
    )
    return domain, general
