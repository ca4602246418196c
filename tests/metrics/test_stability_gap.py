"""The stability gap on curves whose dip is known."""

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
