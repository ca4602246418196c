import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_schedules import EVERY, TOTAL

from cptlab.launch import options
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.cosine_restarts import CosineRestarts
from cptlab.schedules.curves import CURVES, fall
from cptlab.schedules.infinite import Infinite
from cptlab.schedules.inverse_sqrt import InverseSqrt
from cptlab.schedules.linear import Linear
from cptlab.schedules.piecewise import Piecewise
from cptlab.schedules.rewarm import Rewarm
from cptlab.schedules.trapezoid import Trapezoid
from cptlab.schedules.wsd import WSD

ANY = st.sampled_from(sorted(EVERY)).flatmap(lambda name: EVERY[name])


def factors(schedule, *tokens):
    return schedule.factor(np.array(tokens, float), tokens_total=100)


def test_every_variant_is_among_those_tested():
    assert set(EVERY) == set(options("lr_schedule"))


def test_wsd_rises_holds_and_falls_to_its_floor():
    schedule = WSD(warmup_tokens=10, decay_share=0.25, floor=0.1)
    np.testing.assert_allclose(factors(schedule, 0, 5, 10, 75, 87.5, 100), [0, 0.5, 1, 1, 0.55, 0.1])


@pytest.mark.parametrize(
    ("decay", "quarter", "half"),
    [
        ("linear", 0.79, 0.58),  # 1 - .84 p
        ("1-sqrt", 0.58, 1 - 0.84 * 0.5**0.5),
        ("exponential", 0.16**0.25, 0.4),  # .16^p
        ("cosine", 0.16 + 0.42 * (1 + 0.5**0.5), 0.58),
        ("inverse_sqrt", 1 - 0.84 * (1 - 3.5**-0.5) / (1 - 11**-0.5), 1 - 0.84 * (1 - 6**-0.5) / (1 - 11**-0.5)),
    ],
)
def test_wsd_decays_along_the_named_curve(decay, quarter, half):
    schedule = WSD(decay_share=0.4, floor=0.16, decay=decay)
    np.testing.assert_allclose(factors(schedule, 60, 70, 80, 100), [1, quarter, half, 0.16])


def test_the_half_cosine_is_halfway_down_in_the_middle():
    np.testing.assert_allclose(factors(Cosine(floor=0.1), 0, 50, 100), [1, 0.55, 0.1])


def test_linear_falls_from_the_end_of_the_warmup():
    np.testing.assert_allclose(factors(Linear(warmup_tokens=20, floor=0.0), 10, 20, 60, 100), [0.5, 1, 0.5, 0])


def test_inverse_sqrt_is_that_of_the_transformer_and_halves_after_three_timescales():
    np.testing.assert_allclose(factors(InverseSqrt(warmup_tokens=16), 4, 16, 64, 100), [0.25, 1, 0.5, 0.4])
    np.testing.assert_allclose(factors(InverseSqrt(timescale_tokens=20), 0, 60), [1, 0.5])


def test_inverse_sqrt_does_not_know_the_length_of_the_run():
    schedule, tokens = InverseSqrt(warmup_tokens=16), np.arange(100.0)
    np.testing.assert_array_equal(schedule.factor(tokens, 100), schedule.factor(tokens, 1e6))


def test_trapezoid_has_sides_in_tokens():
    schedule = Trapezoid(warmup_tokens=10, decay_tokens=20, floor=0.5)
    np.testing.assert_allclose(factors(schedule, 5, 80, 90, 100), [0.5, 1, 0.75, 0.5])
    np.testing.assert_allclose(schedule.factor(np.array([980, 990.0]), 1000), [1, 0.75])


def test_infinite_cools_down_stays_and_anneals():
    schedule = Infinite(warmup_tokens=10, cooldown_tokens=20, constant=0.4, anneal_share=0.2, floor=0.1)
    # cosine in the middle of 1 and .4; exponential: .4 * (1/4)^(1/2) = .2
    np.testing.assert_allclose(
        factors(schedule, 5, 10, 20, 30, 55, 80, 90, 100), [0.5, 1, 0.7, 0.4, 0.4, 0.4, 0.2, 0.1]
    )


@given(st.integers(60, 10_000), st.integers(60, 10_000))
def test_infinite_runs_of_any_length_agree_up_to_their_anneal(one, other):
    made = [Infinite(warmup_tokens=10, cooldown_tokens=20, anneal_share=0.5, floor=0.1) for _ in range(2)]
    tokens = np.arange(min(one, other) // 2 + 1.0)
    np.testing.assert_array_equal(made[0].factor(tokens, one), made[1].factor(tokens, other))


def test_rewarm_starts_where_the_base_ended():
    schedule = Rewarm(warmup_tokens=20, start=0.2, floor=0.1)
    np.testing.assert_allclose(factors(schedule, 0, 10, 20, 60, 100), [0.2, 0.6, 1, 0.55, 0.1])
    assert Rewarm(warmup_tokens=20).after(2e-4, 1e-3) == Rewarm(warmup_tokens=20, start=0.2)
    assert schedule.after(5e-4, 1e-3) is schedule


def test_restarts_end_each_cycle_at_the_floor():
    schedule = CosineRestarts(warmup_tokens=10, cycles=3, floor=0.2)
    np.testing.assert_allclose(factors(schedule, 10, 25, 40, 55, 70, 85, 100), [1, 0.6, 0.2, 0.6, 0.2, 0.6, 0.2])
    assert factors(schedule, 40.001)[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(CosineRestarts(cycles=2, growth=3).ends(100), [0, 25, 100])


def test_one_cycle_is_a_cosine():
    tokens = np.arange(101.0)
    one, cosine = CosineRestarts(warmup_tokens=7, cycles=1, floor=0.1), Cosine(warmup_tokens=7, floor=0.1)
    np.testing.assert_allclose(one.factor(tokens, 100), cosine.factor(tokens, 100), rtol=1e-14)


def test_piecewise_reads_tokens_or_shares_from_a_file(tmp_path):
    file = tmp_path / "lr.csv"
    file.write_text("tokens,factor\n0,0\n10,1\n110,0\n")
    np.testing.assert_allclose(factors(Piecewise(path=str(file)), 5, 10, 60, 100), [0.5, 1, 0.5, 0.1])
    file.write_text("factor, share\n1, 0\n.5, 1\n")
    np.testing.assert_allclose(factors(Piecewise(path=str(file)), 0, 50, 100), [1, 0.75, 0.5])


@given(ANY, st.lists(st.floats(0, TOTAL), min_size=1, max_size=20))
def test_a_factor_is_never_negative_nor_above_the_peak(schedule, tokens):
    found = schedule.factor(np.array(tokens), TOTAL)
    assert found.shape == (len(tokens),)
    assert ((found >= 0) & (found <= 1)).all()


@given(ANY)
def test_the_peak_is_reached_where_the_warmup_ends(schedule):
    found = schedule.factor(np.arange(TOTAL + 1.0), TOTAL)
    if schedule.variant_name != "infinite" or schedule.warmup_tokens or schedule.cooldown_tokens:
        assert found.max() == pytest.approx(1)
    if schedule.variant_name not in ("piecewise", "infinite"):
        assert found[int(schedule.warmup_tokens)] == pytest.approx(1)


@given(ANY)
def test_the_last_step_has_the_named_value(schedule):
    last = schedule.factor(np.array([float(TOTAL)]), TOTAL)[0]
    if schedule.variant_name == "piecewise":
        assert last == schedule.points[-1][1]
    elif schedule.variant_name == "inverse_sqrt":
        scale = schedule.timescale_tokens
        assert last == pytest.approx((scale / (scale + TOTAL - schedule.warmup_tokens)) ** 0.5)
    elif schedule.variant_name == "constant" or 0 in (
        vars(schedule).get("decay_share"),
        vars(schedule).get("decay_tokens"),
    ):
        assert last == 1
    elif vars(schedule).get("anneal_share") == 0:
        assert last == pytest.approx(schedule.constant)
    else:
        assert last == pytest.approx(schedule.floor)


JOINTS = {"linear": (0.3,), "cosine": (0.3,), "wsd": (0.3, 0.5), "trapezoid": (0.3, 0.5), "inverse_sqrt": (0.3,),
          "rewarm": (0.3,), "infinite": (0.3, 0.4, 0.8), "piecewise": (0.3,)}  # fmt: skip
AT_JOINTS = [
    Linear(warmup_tokens=300), Cosine(warmup_tokens=300), InverseSqrt(warmup_tokens=300),
    Trapezoid(warmup_tokens=300, decay_tokens=500), Rewarm(warmup_tokens=300, start=0.2),
    Piecewise(points=[[0, 0], [300, 1], [1000, 0.2]]),
    *(WSD(warmup_tokens=300, decay_share=0.5, floor=0.1, decay=curve) for curve in CURVES),
    *(Infinite(warmup_tokens=300, cooldown_tokens=100, anneal_share=0.2, cooldown=curve, anneal=curve)
      for curve in CURVES),
]  # fmt: skip


@pytest.mark.parametrize("schedule", AT_JOINTS, ids=lambda s: f"{s.variant_name}-{getattr(s, 'decay', '')}")
def test_parts_of_a_schedule_meet(schedule):
    for joint in JOINTS[schedule.variant_name]:
        at = joint * TOTAL + np.array([-1e-9, 0, 1e-9])
        assert np.ptp(schedule.factor(at, TOTAL)) < 1e-5  # a square root falls by the root of the step


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_falls_all_the_way_and_stays_at_its_ends(curve):
    found = fall(curve, np.linspace(-0.5, 1.5, 101), 0.2)
    assert found[0] == 1
    assert found[-1] == pytest.approx(0.2)
    assert (np.diff(found) <= 1e-15).all()


def test_only_schedules_that_hold_their_peak_call_themselves_constant():
    made = [Constant(), WSD(decay_share=0), WSD(), Cosine(), Trapezoid(), Trapezoid(decay_tokens=1), InverseSqrt(
        warmup_tokens=1), Infinite(), Infinite(constant=1, anneal_share=0), Rewarm(start=0), CosineRestarts(),
        Piecewise(points=[[0, 1], [1, 1]]), Piecewise(points=[[0, 0], [1, 1]])]  # fmt: skip
    found = [schedule.is_constant for schedule in made]
    assert found == [True, True, False, False, True, False, False, False, True, False, False, True, False]


@given(ANY)
def test_the_record_of_a_schedule_builds_it_anew(schedule):
    from cptlab.schedules.history import schedule_of

    tokens = np.linspace(0, TOTAL, 37)
    anew = schedule_of(schedule.identity())
    np.testing.assert_array_equal(anew.factor(tokens, TOTAL), schedule.factor(tokens, TOTAL))


def test_the_identity_of_older_schedules_is_as_it_was():
    known = {"variant": "wsd", "warmup_tokens": 0.0, "decay_share": 0.2, "floor": 0.0}
    assert WSD().identity() == known
    assert WSD(decay="1-sqrt").identity() == known | {"decay": "1-sqrt"}
    assert Cosine().identity() == {"variant": "cosine", "warmup_tokens": 0.0, "floor": 0.1}


def test_the_record_of_a_file_keeps_its_points_and_not_its_place(tmp_path):
    (tmp_path / "lr.csv").write_text("tokens,factor\n0,1\n100,0\n")
    identity = Piecewise(path=str(tmp_path / "lr.csv")).identity()
    assert identity == {"variant": "piecewise", "points": [[0.0, 1.0], [100.0, 0.0]], "unit": "tokens"}


def test_steps_that_runs_of_every_length_share_end_before_the_final_decay():
    assert WSD(decay_share=0.25).shared_steps(64, 640) == 7  # decays after 7.5 steps
    assert WSD(decay_share=0.25).shared_steps(64, 1280) == 15
    assert WSD(decay_share=0).shared_steps(64, 640) == 10
    assert Trapezoid(decay_tokens=130).shared_steps(64, 640) == 7  # after 510 tokens = 7.97 steps
    assert Infinite(cooldown_tokens=128, anneal_share=0.2).shared_steps(64, 640) == 8  # after 512 tokens
    assert Cosine().shared_steps(64, 640) == 0
