"""The stability gap on curves whose dip is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_runs import curve

from cptlab.metrics.stability_gap import stability_gap


def test_depth_bottom_recovery_and_tokens_to_break_even():
    gap = stability_gap(curve([3.0, 3.2, 3.5, 3.1, 2.7, 2.6], se=0.03))
    assert gap.depth.value == pytest.approx(0.5)
    assert gap.depth.se == pytest.approx(0.03 * 2**0.5)
    assert (gap.bottom_step, gap.bottom_tokens) == (20, 2000)
    assert gap.recovery_step == 40
    assert gap.break_even_tokens == pytest.approx(3250)  # 3.1 -> 2.7 crosses 3.0 after a quarter of the way
    assert gap.break_even_between == (3000, 4000)
    assert gap.dipped
    assert gap.recovered
    assert gap.is_clear
    assert not gap.still_rising
    assert gap.first_look == 1000


def test_a_loss_that_only_falls_has_no_gap():
    gap = stability_gap(curve([3.0, 2.9, 2.8]))
    assert (gap.dipped, gap.recovered, gap.depth.value, gap.break_even_tokens) == (False, True, 0.0, None)


def test_a_loss_that_never_comes_back_is_not_recovered():
    gap = stability_gap(curve([3.0, 3.4, 3.2]))
    assert (gap.recovered, gap.recovery_step, gap.bottom_step, gap.still_rising) == (False, None, 10, False)
    assert stability_gap(curve([3.0, 3.1, 3.2])).still_rising


def test_the_deepest_rise_counts_whatever_row_of_noise_came_before():
    gap = stability_gap(curve([3.0, 3.001, 2.999, 3.5, 3.6, 2.9]))
    assert gap.depth.value == pytest.approx(0.6)
    assert (gap.bottom_step, gap.recovery_step) == (40, 50)
    late = stability_gap(curve([3.0, 3.1, 2.9, 3.2]))
    assert (late.depth.value, late.recovered, late.still_rising) == (pytest.approx(0.2), False, True)


def test_a_rise_within_the_noise_is_not_clear():
    assert not stability_gap(curve([3.0, 3.05, 2.9], se=0.1)).is_clear
    assert stability_gap(curve([3.0, 3.5, 2.9], se=0.1)).is_clear


def test_the_bound_of_a_clear_rise_grows_with_the_evaluations_that_were_looked_at():
    """A rise of 2.5 standard errors of a difference: clear as the only look, not as the largest of ten or 24."""
    rise = 3.0 + 2.5 * 0.1 * 2**0.5
    gaps = [stability_gap(curve([3.0, rise, *[2.9] * (looks - 1)], se=0.1)) for looks in (1, 10, 24)]
    assert [gap.is_clear for gap in gaps] == [True, False, False]
    assert [gap.looks for gap in gaps] == [1, 10, 24]
    assert [gap.bound for gap in gaps] == [pytest.approx(z, abs=5e-4) for z in (1.96, 2.807, 3.078)]
    assert stability_gap(curve([3.0, 3.0 + 3.1 * 0.1 * 2**0.5, *[2.9] * 23], se=0.1)).is_clear


def test_noise_alone_makes_a_clear_gap_of_one_run_in_twenty_at_most():
    rng = np.random.default_rng(0)
    curves = [curve(np.r_[3.0, 3.0 + 0.1 * rng.standard_normal(24)], se=0.1 / 2**0.5) for _ in range(1000)]
    clear = np.mean([stability_gap(one).is_clear for one in curves])
    assert 0.01 < clear < 0.05  # one side of 5 %; with 1.96 alone it would be 45 %


def test_without_a_base_loss_there_is_nothing_to_come_back_to():
    assert stability_gap(curve([3.0])) is None


@given(st.lists(st.floats(0.5, 5), min_size=2, max_size=12))
def test_where_it_recovers_lies_between_bottom_and_end(losses):
    gap = stability_gap(curve(losses))
    assert gap.depth.value == pytest.approx(0) or gap.depth.value > 0
    assert gap.dipped == (max(losses[1:]) > losses[0])
    if gap.recovery_step is not None:
        low, high = gap.break_even_between
        assert gap.bottom_tokens <= low <= gap.break_even_tokens <= high
        assert losses[gap.recovery_step // 10] <= losses[0]
    elif gap.dipped:
        assert losses[-1] > losses[0]


@given(st.lists(st.floats(0.5, 5), min_size=2, max_size=12), st.floats(-0.4, 5))
def test_a_gap_does_not_depend_on_where_losses_start(losses, shift):
    one, other = stability_gap(curve(losses)), stability_gap(curve([loss + shift for loss in losses]))
    assert one.depth.value == pytest.approx(other.depth.value, abs=1e-9)
