"""What the draws expect of a run, when runs are enough, and a design played to its end."""

from itertools import pairwise

import numpy as np
import pytest

from cptlab.design.bisect import bisect
from cptlab.design.propose import following
from cptlab.design.replay import fits_of, replay
from cptlab.design.space import Point
from cptlab.design.start import start
from cptlab.design.state import state
from cptlab.design.stop import half_widths, is_enough, sentence
from cptlab.design.utility import choose, widths
from cptlab.errors import UserError

ANSWER = 0.45  # 3 + .2 r = 3 x 1.03


@pytest.fixture(scope="module")
def known(runs, space, question):
    """Three spread-out runs, and the state after them."""
    done = start(space, 3, question.num_params)
    return done, state(fits_of(runs(done), "dcpt", 80, 0), question)


def test_a_design_stops_at_the_share_of_the_cap(runs, space, question):
    steps = replay(space, runs, question, tolerance=0.03, num_draws=60, most=14)
    last = steps[-1]
    assert last.enough
    assert last.choice["domain_share"] == pytest.approx(ANSWER, abs=0.03)
    assert last.flops == pytest.approx(len(last.points) * last.points[0].flops)
    assert len(last.points) < 14
    assert all(len(after.points) == len(before.points) + 1 for before, after in pairwise(steps))


def test_a_chosen_run_costs_its_flops_and_is_expected_to_narrow(known, space):
    done, now = known
    found = choose(now, space, done, count=2)
    assert len({one.point for one in found}) == 2
    assert all(one.flops == one.point.flops and one.after < one.width for one in found)
    assert found[1].width == found[0].after  # the second counts on the first
    assert found[0].width == pytest.approx(float(widths(now, np.zeros((1, len(now.kept))))[0]))


def test_a_budget_below_one_run_buys_none(known, space):
    done, now = known
    assert choose(now, space, done, budget=done[0].flops * 0.9) == []
    assert len(choose(now, space, done, count=5, budget=done[0].flops * 2.5)) <= 2


def test_weights_that_keep_one_draw_leave_no_width(known):
    _, now = known
    misses = np.full((1, len(now.kept)), 1e4)
    misses[0, 3] = 0
    assert widths(now, misses)[0] == pytest.approx(0, abs=1e-9)


def test_a_run_tells_more_the_better_it_tells_the_draws_apart(known, space):
    """At the chosen share the general losses of draws differ as their choices do; of draws all alike nothing is left."""
    done, now = known
    best = choose(now, space, done)[0]
    assert best.after < best.width
    same = type(now)(now.case, now.choice, {"domain_share": np.full(len(now.kept), 0.4)}, now.kept)
    assert choose(same, space, done) == []


def test_where_draws_tell_no_run_from_another_the_choice_itself_is_measured(known, space):
    done, now = known
    same = type(now)(now.case, now.choice, {"domain_share": np.full(len(now.kept), 0.4)}, now.kept)
    ((point, expected),) = following(same, space, done)
    assert point == bisect(same, space, done)
    assert expected is None
    assert following(same, space, done, budget=point.flops / 2) == []


def test_bisecting_measures_the_choice_first(known, space):
    done, now = known
    found = bisect(now, space, done)
    assert found.share == pytest.approx(now.choice["domain_share"], abs=0.02)


def test_enough_needs_width_and_shares(known):
    _, now = known
    assert not is_enough(now, 0.49)  # narrow enough, but three shares
    assert "fewer than 5 shares" in sentence(now, 0.49)
    assert sentence(now, 0.001).startswith("not enough: domain_share 0.")


def test_a_choice_beyond_the_measured_shares_is_not_enough(runs, space, question):
    done = [Point(space.sizes[0], space.tokens[0], share) for share in (0.1, 0.2, 0.3, 0.35, 0.4)]
    now = state(fits_of(runs(done), "dcpt", 60, 0), question)
    beyond = type(now)(now.case, {"domain_share": 0.45}, {"domain_share": np.full(20, 0.45)}, now.kept[:20])
    within = type(now)(now.case, {"domain_share": 0.38}, {"domain_share": np.full(20, 0.38)}, now.kept[:20])
    assert not is_enough(beyond, 0.02)
    assert "the choice lies beyond the measured shares, 0.1 to 0.4" in sentence(beyond, 0.02)
    assert is_enough(within, 0.02)


def test_half_of_an_interval_of_tokens_is_in_its_logarithm():
    found = half_widths({"domain_share": (0.2, 0.3), "tokens": (1e6, 4e6)})
    assert found == pytest.approx({"domain_share": 0.05, "tokens": np.log(2)})


def test_a_way_that_does_not_exist_is_refused(runs, space, question):
    with pytest.raises(UserError, match="utility or bisect"):
        replay(space, runs, question, way="guess")
