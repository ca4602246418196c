from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.replay.adaptive import AdaptiveReplay, Drift

STILL = Drift(step=5, u=0.5, general_loss=3.0, base_loss=3.0, gradient_norm=2.0)
drifts = st.floats(0, 1e6)


def test_no_divergence_gives_the_minimum_and_a_loss_that_fell_does_too():
    replay = AdaptiveReplay(minimum=0.1, maximum=0.5, scale=0.2)
    assert replay.decide([STILL]) == 0.1
    assert replay.decide([replace(STILL, general_loss=2.5)]) == 0.1
    np.testing.assert_array_equal(replay.share(np.array([0.0, 1.0])), [0.1, 0.1])


def test_a_divergence_of_the_scale_gives_the_middle_and_three_times_it_three_quarters():
    replay = AdaptiveReplay(minimum=0.1, maximum=0.5, scale=0.2)
    assert replay.decide([replace(STILL, general_loss=3.2)]) == pytest.approx(0.3)
    assert replay.decide([replace(STILL, general_loss=3.6)]) == pytest.approx(0.4)


def test_the_share_by_gradient_norm_is_the_ratio_g_over_g_plus_scale_times_the_first():
    replay = AdaptiveReplay(minimum=0, maximum=0.8, signal="gradient_norm", scale=2.0)
    assert replay.decide([STILL, replace(STILL, gradient_norm=6.0)]) == pytest.approx(0.8 * 6 / (6 + 2 * 2))
    assert replay.decide([STILL]) == pytest.approx(0.8 / 3) == replay.share(np.zeros(1))[0]
    still_less = replace(STILL, gradient_norm=0.0)
    assert replay.decide([STILL, still_less]) == 0
    assert replay.decide([still_less]) == 0


@given(low=drifts, high=drifts, signal=st.sampled_from(["divergence", "gradient_norm"]), scale=st.floats(1e-3, 1e3))
def test_more_drift_never_gives_less_replay_and_the_share_stays_in_its_range(low, high, signal, scale):
    low, high = sorted((low, high))
    replay = AdaptiveReplay(minimum=0.05, maximum=0.6, signal=signal, scale=scale)
    less, more = (
        replay.decide([replace(STILL, gradient_norm=1.0), replace(STILL, general_loss=3 + d, gradient_norm=d)])
        for d in (low, high)
    )
    assert 0.05 <= less <= more <= 0.6


def test_the_excess_loss_on_text_of_the_base_is_its_kl_divergence():
    rng = np.random.default_rng(0)
    base, model = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    losses = -(base @ np.log(model)), -(base @ np.log(base))  # expected loss of model and base on the base's text
    kl = float(np.sum(base * np.log(base / model)))
    replay = AdaptiveReplay(minimum=0.0, maximum=0.9, scale=kl)
    assert replay.decide([replace(STILL, general_loss=losses[0], base_loss=losses[1])]) == pytest.approx(0.45)


def test_decisions_are_made_every_interval_but_not_at_the_ends():
    assert AdaptiveReplay(interval=0.25).decision_steps(100) == [25, 50, 75]
    assert AdaptiveReplay(interval=0.3).decision_steps(10) == [3, 6, 9]
    assert AdaptiveReplay(interval=1.0).decision_steps(10) == []
