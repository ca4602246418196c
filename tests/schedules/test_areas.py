"""Areas against the double sums that define them, for any schedule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_schedules import EVERY, TOTAL

from cptlab.errors import UserError
from cptlab.schedules.area import anneal_area, learning_rates, loss_potential, lr_area
from cptlab.schedules.constant import Constant
from cptlab.schedules.history import history_of
from cptlab.schedules.wsd import WSD


def double_sum(rates, decay):
    """sum_i sum_{k<=i} (lr_{k-1} - lr_k) decay^(i-k), rises left out, after each step."""
    term = [sum(max(rates[k - 1] - rates[k], 0) * decay ** (i - k) for k in range(1, i + 1)) for i in range(len(rates))]
    return np.array([sum(term[: t + 1]) for t in range(len(rates))])


@pytest.mark.parametrize("name", sorted(EVERY))
def test_areas_of_every_schedule_are_the_double_sums_of_the_paper(name):
    @given(EVERY[name], st.sampled_from([20, 40, 50]), st.floats(0.5, 0.9999), st.floats(1e-5, 1e-1))
    def check(schedule, per_step, decay, peak_lr):
        rates = learning_rates(schedule, peak_lr, per_step, TOTAL)
        by_step = [peak_lr * float(schedule.factor(float(t), TOTAL)) for t in range(per_step, TOTAL + 1, per_step)]
        np.testing.assert_allclose(rates, by_step, rtol=1e-13)
        np.testing.assert_allclose(lr_area(rates), [sum(by_step[: t + 1]) for t in range(len(by_step))], rtol=1e-12)
        rounding = 1e-13 * peak_lr  # of two ways to one LR: where it hardly falls, that is all that falls
        np.testing.assert_allclose(anneal_area(rates, decay), double_sum(by_step, decay), rtol=1e-9, atol=rounding)

    check()


def test_published_area_of_a_long_constant_run():
    # arXiv 2505.07796: peak 2e-4 over 30k steps gives S1 = 6 and no annealing.
    rates = learning_rates(Constant(), 2e-4, 1, 30_000)
    assert lr_area(rates)[-1] == pytest.approx(6)
    assert anneal_area(rates)[-1] == 0


def test_areas_of_a_straight_decay_worked_by_hand():
    """Peak 1 for 6 steps, then .75, .5, .25, 0; with lambda 1/2 the momenta are 1/4, 3/8, 7/16, 15/32."""
    rates = learning_rates(WSD(decay_share=0.4), 1.0, 10, 100)
    np.testing.assert_allclose(rates, [1] * 6 + [0.75, 0.5, 0.25, 0])
    assert lr_area(rates)[-1] == pytest.approx(7.5)
    assert anneal_area(rates, 0.5)[-1] == pytest.approx(1 / 4 + 3 / 8 + 7 / 16 + 15 / 32)


def test_what_is_left_to_anneal_is_the_final_lr_over_the_peak():
    assert loss_potential(learning_rates(WSD(floor=0.3), 2e-4, 10, 100), 2e-4) == pytest.approx(0.3)
    assert loss_potential(learning_rates(Constant(), 2e-4, 10, 100), 2e-4) == 1
    assert loss_potential(learning_rates(WSD(), 2e-4, 10, 100), 2e-4) == 0


@given(st.sampled_from(sorted(EVERY)).flatmap(lambda name: EVERY[name]), st.floats(0.5, 0.9999))
def test_the_history_of_a_base_has_the_areas_of_its_rates(schedule, decay):
    known = {"peak_lr": 1e-3, "tokens": TOTAL, "tokens_per_step": 40, "schedule": schedule.identity()}
    areas = history_of(known).areas(decay)
    rates = [1e-3 * float(schedule.factor(float(t), TOTAL)) for t in range(40, TOTAL + 1, 40)]
    assert areas["base_lr_area"] == pytest.approx(sum(rates))
    assert areas["base_anneal_area"] == pytest.approx(double_sum(rates, decay)[-1], rel=1e-9, abs=1e-18)
    assert areas["base_potential"] == pytest.approx(rates[-1] / 1e-3)


FIRST = {"peak_lr": 1.0, "tokens": 100, "tokens_per_step": 10, "schedule": {"variant": "wsd", "decay_share": 0.4}}
SECOND = {"peak_lr": 2.0, "tokens": 45.0, "tokens_per_step": 10, "schedule": {"variant": "constant"}}


def test_a_base_with_a_base_sums_the_rates_of_both_and_keeps_its_own_annealing():
    joined = history_of(SECOND | {"before": FIRST}).areas(0.5)
    assert joined == {"base_lr_area": pytest.approx(7.5 + 8), "base_anneal_area": 0, "base_potential": 1}
    turned = history_of(FIRST | {"before": SECOND}).areas(0.5)
    assert turned["base_lr_area"] == pytest.approx(7.5 + 8)
    assert turned["base_anneal_area"] == pytest.approx(49 / 32)


def test_a_base_from_the_middle_of_a_schedule_has_the_rates_up_to_there():
    """Eight of ten steps: six at the peak, then .75 and .5."""
    areas = history_of(FIRST | {"tokens": 80, "tokens_total": 100}).areas(0.5)
    assert areas == {"base_lr_area": pytest.approx(7.25), "base_anneal_area": pytest.approx(1 / 4 + 3 / 8),
                     "base_potential": pytest.approx(0.5)}  # fmt: skip


def test_a_history_on_something_unknown_is_not_known():
    assert history_of(FIRST | {"before": None}) is None


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ("cosine", r"model\.lr_history is 'cosine'; it must be a mapping"),
        ({"peak_lr": 1, "tokens": 1}, r"model\.lr_history lacks tokens_per_step, schedule"),
        (FIRST | {"steps": 3}, r"model\.lr_history\.steps is no key of a history\."),
        (FIRST | {"peak_lr": 0}, r"model\.lr_history\.peak_lr is 0; it must be a number above 0"),
        (FIRST | {"tokens": 5}, r"tokens is 5, less than one step of tokens_per_step=10"),
        (FIRST | {"tokens_total": 90}, r"tokens_total is 90, less than tokens=100"),
        (FIRST | {"schedule": {"variant": "cosin"}}, r"schedule\.variant is cosin, no lr_schedule\. Did you mean cosine"),
        (FIRST | {"schedule": {"variant": "wsd", "flor": 1}}, r"schedule\.flor is no key .* Did you mean floor\?"),
        (FIRST | {"schedule": {"variant": "wsd", "floor": 2}}, r"model\.lr_history\.schedule\.floor is 2"),
        (FIRST | {"schedule": {"variant": "wsd", "warmup_tokens": 1e3}}, r"model\.lr_history\.schedule\.warmup_tokens"),
    ],
)  # fmt: skip
def test_a_history_that_is_none_is_refused_by_the_key_that_declares_it(known, sentence):
    with pytest.raises(UserError, match=sentence):
        history_of(known, "model.lr_history")
