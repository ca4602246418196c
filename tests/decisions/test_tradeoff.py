import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.decisions.candidates import grid, pick
from cptlab.decisions.next_runs import next_shares, train_command
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.errors import UserError

SHARE = np.linspace(0, 1, 11)


def choose(general, domain, rise=0.03):
    """(share, is_interval) with a general base loss of 2."""
    picked = pick(grid({"domain_share": SHARE}), np.asarray(domain, float), [general - 2.0 * (1 + rise)])
    return picked.values["domain_share"], picked.is_interval


@given(st.floats(0.061, 10), st.floats(0.01, 3))
def test_a_rising_line_binds_at_room_over_slope(slope, gain):
    share, is_interval = choose(2 + slope * SHARE, 4 - gain * SHARE)
    np.testing.assert_allclose(share, 0.06 / slope, rtol=1e-6)
    assert is_interval


def test_curves_are_answered_in_batches():
    slope = np.array([[0.6], [0.1], [0.03], [-1.0]])
    general = np.where(slope < 0, 3.0, 2 + slope * SHARE)  # the last one is over the cap everywhere
    share, _ = choose(general, np.broadcast_to(4 - SHARE, general.shape))
    np.testing.assert_allclose(share, [0.1, 0.6, 1.0, np.nan])


def test_a_domain_loss_with_a_minimum_inside_the_cap_is_chosen_there():
    share, _ = choose(2 + SHARE, (SHARE - 0.4) ** 2, rise=1)
    np.testing.assert_allclose(share, 0.4)


def test_a_domain_loss_that_falls_towards_share_zero_is_stopped_on_that_side():
    general = 2.2 - 0.4 * SHARE  # met from r = 0.35 on
    share, _ = choose(general, 1 + SHARE)
    np.testing.assert_allclose(share, 0.35)


def test_a_gap_between_allowed_shares_is_reported():
    general = np.where((SHARE > 0.35) & (SHARE < 0.65), 3.0, 2.0)
    share, is_interval = choose(general, 4 - SHARE)
    assert share == 1
    assert not is_interval


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_general_rise": -0.1}, r"question\.max_general_rise is -0\.1"),
        ({"level": 1}, r"question\.level is 1"),
        ({"max_interval_width": 0}, r"question\.max_interval_width is 0"),
        ({"num_params": 0.5}, r"question\.num_params is 0\.5"),
        ({"tokens": float("inf")}, r"question\.tokens is inf"),
        ({"base_loss": 2.8}, r"question\.base_loss is 2\.8; write it as"),
        ({"base_loss": {"pile": -1}}, r"question\.base_loss\.pile is -1"),
    ],
)
def test_impossible_questions_are_refused_by_their_key(fields, message):
    with pytest.raises(UserError, match=message):
        Tradeoff(**fields)


def test_next_shares_leave_out_what_was_measured():
    measured = np.array([0.0, 0.25, 0.5, 1.0])
    assert next_shares([0.38, 0.26, 0.49], measured) == [0.38]


def test_next_shares_fill_the_widest_gap_beside_a_measured_choice():
    assert next_shares([0.5], np.array([0.0, 0.4, 0.5, 0.8])) == [0.65]


def test_the_command_keeps_the_recorded_overrides_and_replaces_share_and_tokens():
    recorded = ["model.size=30k", "model.base_run=my base", "mixture.domain_share=0.1", "tokens=1e5"]
    changes = {"mixture.domain_share": 0.4274, "tokens": 655360.0}
    assert train_command(recorded, changes) == (
        "python train.py model.size=30k 'model.base_run=my base' mixture.domain_share=0.4274 tokens=655360"
    )


def test_the_command_gives_an_override_that_stood_twice_once_and_with_its_last_value():
    assert train_command(["runs=a", "runs=a", "seed=1", "runs=b"], {}) == "python train.py runs=b seed=1"
