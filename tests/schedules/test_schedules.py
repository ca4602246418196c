import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.linear import Linear
from cptlab.schedules.wsd import WSD


def test_wsd_rises_holds_and_falls_to_its_floor():
    schedule = WSD(warmup_tokens=10, decay_share=0.25, floor=0.1)
    got = schedule.factor(np.array([0, 5, 10, 75, 87.5, 100.0]), tokens_total=100)
    np.testing.assert_allclose(got, [0, 0.5, 1, 1, 0.55, 0.1])


def test_cosine_is_halfway_down_in_the_middle():
    got = Cosine(warmup_tokens=0, floor=0.1).factor(np.array([0, 50, 100.0]), tokens_total=100)
    np.testing.assert_allclose(got, [1, 0.55, 0.1])


def test_linear_falls_from_the_end_of_the_warmup():
    got = Linear(warmup_tokens=20, floor=0.0).factor(np.array([10, 20, 60, 100.0]), tokens_total=100)
    np.testing.assert_allclose(got, [0.5, 1, 0.5, 0])


@given(
    st.sampled_from([Constant, Cosine, Linear, WSD]),
    st.floats(0, 0.5),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_every_schedule_stays_between_zero_and_one(cls, warmup, progress):
    factor = cls(warmup_tokens=warmup * 1e6).factor(np.array(progress) * 1e6, 1e6)
    assert ((factor >= 0) & (factor <= 1)).all()


def test_only_schedules_that_hold_their_peak_call_themselves_constant():
    assert Constant().is_constant
    assert WSD(decay_share=0).is_constant
    assert not WSD().is_constant
    assert not Cosine().is_constant


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WSD(decay_share=1.2), r"lr_schedule\.decay_share is 1\.2; it must lie in \[0, 1\]"),
        (lambda: Cosine(floor=-0.1), r"lr_schedule\.floor is -0\.1"),
        (lambda: Constant(warmup_tokens=-1), r"lr_schedule\.warmup_tokens is -1"),
        (
            lambda: Constant(warmup_tokens=200).check(100),
            r"warmup_tokens is 200 but the run has only tokens=100",
        ),
        (lambda: WSD(warmup_tokens=60, decay_share=0.5).check(100), r"overlap"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_areas_agree_with_the_double_sum_of_the_paper():
    rates = learning_rates(WSD(warmup_tokens=40, decay_share=0.5, floor=0.1), 1e-2, 10, 200)
    assert len(rates) == 20
    decay = 0.9
    expected = np.zeros(20)
    for t in range(20):
        for i in range(t + 1):
            for k in range(1, i + 1):
                expected[t] += max(rates[k - 1] - rates[k], 0) * decay ** (i - k)
    np.testing.assert_allclose(anneal_area(rates, decay), expected, rtol=1e-12)
    np.testing.assert_allclose(lr_area(rates), np.cumsum(rates))


def test_published_area_of_a_long_constant_run():
    # arXiv 2505.07796: peak 2e-4 over 30k steps gives S1 = 6 and no annealing.
    rates = learning_rates(Constant(), 2e-4, 1, 30_000)
    assert lr_area(rates)[-1] == pytest.approx(6)
    assert anneal_area(rates)[-1] == 0
