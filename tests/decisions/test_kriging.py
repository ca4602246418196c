"""Residuals over the share: misfit, noise and ends that stand alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptlab.decisions.kriging import Kriging, expit, logit, matern

SHARES = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
RUNS = np.ones(7)


def kriging(residual, level=3.0, **repeats):
    return Kriging(SHARES, RUNS, np.asarray(residual, float), level, **repeats)


def test_a_constant_residual_shifts_the_law_without_error():
    one = kriging(np.full(7, 0.3))
    np.testing.assert_allclose(one.mean(np.linspace(0, 1, 11)), 0.3, atol=1e-9)
    draws = one.draws(np.linspace(0, 1, 11), np.full((50, 7), 0.3), np.random.default_rng(0))
    np.testing.assert_allclose(draws, 0.3, atol=1e-6)


def test_a_smooth_misfit_is_followed_and_noise_is_not():
    x = np.linspace(0, 1, 21)
    smooth = 0.1 * np.exp(-4 * SHARES)
    np.testing.assert_allclose(kriging(smooth).mean(x), 0.1 * np.exp(-4 * x), atol=0.005)
    noise = 0.01 * np.array([1, -1, 1, -1, 1, -1, 1])
    # Interpolation would swing between -.01 and .01.
    assert np.ptp(kriging(noise).mean(x)) < 0.006


def test_left_out_shares_are_told_by_the_others():
    smooth = 0.1 * logit(SHARES)
    assert kriging(smooth).left_out() < 0.01  # their mean alone would miss by .1
    bump = np.array([0, 0, 0, 0.1, 0, 0, 0])
    assert kriging(bump).left_out() == pytest.approx(0.1 / np.sqrt(5), rel=0.3)


def test_repeats_tell_a_rough_misfit_from_noise():
    rough = 0.01 * np.array([1, -1, 1, -1, 1, -1, 1])
    known = kriging(rough, noise=1e-4, freedom=8)
    np.testing.assert_allclose(known.mean(SHARES), rough, atol=1e-3)


def test_the_weights_of_a_model_are_those_of_generalised_least_squares():
    """Without a misfit the mean of the residuals, weighted by runs; its error is s^2 over all runs."""
    one = Kriging(SHARES, np.array([1, 1, 1, 3, 1, 1, 1.0]), np.array([0.3, 0.1, -0.2, 0.1, 0.3, -0.1, 0.2]), 3.0)
    alone = next(m for m in one.models if m.ratio == 0 and m.kept == slice(0, 7))
    np.testing.assert_allclose(alone.weights_at(np.array([0.3]))[0], one.runs / 9)
    root = alone.root_at(np.array([0.2, 0.8]))
    np.testing.assert_allclose(root @ root.T, np.full((2, 2), 1 / 9), atol=1e-12)


def test_the_variance_of_a_model_is_that_of_a_simulation():
    """Prior draws of f and noise: the error of the weights has the covariance that `root_at` says."""
    one, x = kriging(0.1 * np.exp(-4 * SHARES)), np.array([0.05, 0.35, 0.6])
    model = next(m for m in one.models if m.ratio == 3.0 and m.reach == 5.0 and m.kept == slice(0, 7))
    everywhere = np.concatenate([SHARES, x])
    K = 9 * matern(everywhere, everywhere, 5.0)
    rng = np.random.default_rng(1)
    f = rng.multivariate_normal(np.zeros(10), K + 1e-10 * np.eye(10), 40000)
    residual = f[:, :7] + rng.standard_normal((40000, 7)) + 5.0
    error = residual @ model.weights_at(x).T - (f[:, 7:] + 5.0)
    root = model.root_at(x)
    np.testing.assert_allclose(np.cov(error.T), root @ root.T, rtol=0.05, atol=0.02)


def test_drawn_errors_cover_the_noise_that_made_them():
    rng, inside, x = np.random.default_rng(2), [], np.array([0.35])
    for _ in range(300):
        residual = rng.normal(0, 0.01, 7)
        draws = kriging(residual).draws(x, np.tile(residual, (200, 1)), rng)
        low, high = np.quantile(draws, [0.05, 0.95])
        inside.append(low <= 0 <= high)
    assert 0.85 <= np.mean(inside) <= 0.99


def test_an_end_that_explodes_stands_alone_and_leaves_the_others_as_they_are():
    residual = np.array([9.0, 0.02, 0.01, 0.0, -0.01, 0.01, 0.0])
    one = kriging(residual)
    assert sum(m.weight for m in one.models if m.kept.start == 1) > 0.99
    np.testing.assert_allclose(one.mean(np.array([0.25, 0.5, 0.75, 1.0])), 0, atol=0.02)
    assert one.mean(np.array([0.0]))[0] == pytest.approx(9.0, abs=0.01)
    draws = one.draws(np.array([0.0, 0.05, 0.5]), np.tile(residual, (300, 1)), np.random.default_rng(0))
    assert np.quantile(draws[:, 2], 0.95) < 0.1
    # On the way to the end nothing is known but where it leads.
    low, high = np.quantile(draws[:, 1], [0.05, 0.95])
    assert low < 1.0 < 4.5 < high < 9.0
    # The end itself was measured once, with the noise of one run.
    noise = kriging(residual, noise=0.05, freedom=20).draws(
        np.array([0.0]), np.tile(residual, (2000, 1)), np.random.default_rng(0)
    )
    assert noise.std() == pytest.approx(0.05, rel=0.2)


@settings(max_examples=50)
@given(st.floats(0, 1))
def test_expit_undoes_logit(share):
    assert float(expit(logit(np.array([share])))[0]) == pytest.approx(share, abs=1e-12)


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_the_mean_scales_and_shifts_with_the_residuals(scale, shift):
    residual = np.array([0.2, 0.05, 0.02, 0.02, 0.01, 0, 0.003])
    x = np.linspace(0, 1, 9)
    np.testing.assert_allclose(
        kriging(scale * residual + shift, 3 * scale).mean(x),
        scale * kriging(residual).mean(x) + shift,
        rtol=1e-5,
        atol=1e-6,
    )
