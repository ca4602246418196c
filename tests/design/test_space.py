"""Points, what they cost, which are free."""

import pytest

from cptlab.design.space import Point, Space
from cptlab.design.start import spread_shares, start, van_der_corput
from cptlab.errors import UserError


def test_a_run_costs_six_n_d_and_a_new_size_its_base_once():
    space = Space((10.0, 20.0), (100.0,), (0.0, 1.0), base_flops={10.0: 5000.0})
    assert space.cost(Point(10.0, 100.0, 0.0), []) == 6000 + 5000
    assert space.cost(Point(10.0, 100.0, 1.0), [Point(10.0, 100.0, 0.0)]) == 6000
    assert space.cost(Point(20.0, 100.0, 1.0), []) == 12000
    assert space.total([Point(10.0, 100.0, 1.0), Point(10.0, 100.0, 0.0), Point(20.0, 100.0, 1.0)]) == 29000


def test_a_longer_run_of_the_same_trunk_costs_what_it_adds():
    space = Space((10.0,), (50.0, 100.0), (0.5,))
    assert space.cost(Point(10.0, 100.0, 0.5), [Point(10.0, 50.0, 0.5)]) == 6 * 10 * 50
    assert space.cost(Point(10.0, 50.0, 0.5), [Point(10.0, 100.0, 0.5)]) == 0
    assert space.cost(Point(10.0, 100.0, 0.5, seed=1), [Point(10.0, 50.0, 0.5)]) == 6 * 10 * 100


def test_a_done_point_comes_back_with_its_next_seed_until_seeds_end():
    space = Space((10.0,), (50.0,), (0.5,), seeds=2)
    first, second = Point(10.0, 50.0, 0.5), Point(10.0, 50.0, 0.5, 1)
    assert space.candidates([]) == [first]
    assert space.candidates([first]) == [second]
    assert space.candidates([first, second]) == []


def test_a_replay_offers_recorded_points_alone():
    recorded = frozenset([Point(10.0, 50.0, 0.25), Point(10.0, 50.0, 0.75)])
    space = Space((10.0,), (50.0,), (0.25, 0.75), only=recorded)
    assert space.candidates([Point(10.0, 50.0, 0.25)]) == [Point(10.0, 50.0, 0.75)]
    assert space.nearest(Point(10.0, 50.0, 0.3), []) == Point(10.0, 50.0, 0.25)


def test_a_repeat_gives_way_to_a_share_as_near():
    space = Space((10.0,), (50.0,), (0.5, 0.504))
    assert space.nearest(Point(10.0, 50.0, 0.501), [Point(10.0, 50.0, 0.5)]).share == 0.504


@pytest.mark.parametrize(
    ("shares", "words"), [((0.5, 0.5), "different values"), ((0.0, 1.2), r"lie in \[0, 1\]"), ((), "one or more")]
)
def test_a_space_without_order_or_range_is_refused(shares, words):
    with pytest.raises(UserError, match=words):
        Space((1.0,), (1.0,), shares)


def test_a_start_spreads_shares_over_the_logit_middle_first():
    shares = tuple(i / 100 for i in range(101))
    found = spread_shares(3, shares)
    assert found[0] == 0.5
    assert found[1] == pytest.approx(1 - found[2])
    assert 0.05 < found[1] < 0.2  # a third of the logit from .05 to .95 ends at .23


def test_a_start_lies_at_the_size_of_the_question_else_over_all_sizes():
    space = Space((10.0, 20.0, 40.0), (100.0,), tuple(i / 50 for i in range(51)))
    assert {p.num_params for p in start(space, 3, 40.0)} == {40.0}
    spread = start(space, 4, 80.0)
    assert {p.num_params for p in spread} == {10.0, 20.0, 40.0}
    assert len({p.share for p in spread}) == 4


def test_too_small_a_start_is_refused():
    with pytest.raises(UserError, match="tells no curve"):
        start(Space((10.0,), (1.0,), (0.0, 1.0)), 2)


def test_van_der_corput_halves_and_thirds():
    assert [van_der_corput(i, 2) for i in range(4)] == [0, 0.5, 0.25, 0.75]
    assert van_der_corput(4, 3) == pytest.approx(1 / 9 + 1 / 3)
