import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.training.segments import Segments


class Planned:
    """What Segments needs of a stream, keeping what was planned."""

    steps = 20

    def __init__(self):
        self.weights, self.share = np.zeros((0, 2)), np.zeros(0)

    @property
    def planned_steps(self):
        return len(self.share)

    def extend(self, weights, share):
        self.weights, self.share = np.vstack([self.weights, weights]), np.concatenate([self.share, share])


def constant(value):
    return lambda u: np.tile([value, 1 - value], (len(u), 1))


def segments(marks):
    return Segments(Planned(), marks, {"mixture": constant(0.0), "replay": lambda u: u / 2})


def test_without_decisions_the_whole_run_is_planned_by_its_rules():
    made = segments({})
    made.plan()
    np.testing.assert_allclose(made.stream.share, np.arange(1, 21) / 40)


def test_the_plan_waits_at_each_decision_that_is_due():
    made = segments({"mixture": [5, 10], "replay": [10]})
    made.plan()
    assert made.stream.planned_steps == 5
    made.decided("mixture", 5, constant(0.5))
    assert made.stream.planned_steps == 10
    made.decided("mixture", 10, constant(1.0))
    assert made.stream.planned_steps == 10  # replay has not decided yet
    made.decided("replay", 10, lambda u: 0 * u)
    np.testing.assert_array_equal(made.stream.weights[:, 0], [0] * 5 + [0.5] * 5 + [1.0] * 10)
    np.testing.assert_allclose(made.stream.share, [*(np.arange(1, 11) / 40), *[0] * 10])


def test_a_decision_that_is_not_due_is_refused():
    with pytest.raises(ValueError, match="replay decided after step 10; 5 was due"):
        segments({"replay": [5]}).decided("replay", 10, constant(1.0))


@given(
    marks=st.lists(st.integers(1, 19), min_size=2, max_size=2).map(sorted),
    other=st.sets(st.integers(1, 19), max_size=4).map(sorted),
    order=st.randoms(),
)
def test_the_plan_does_not_depend_on_the_order_in_which_decisions_come_in(marks, other, order):
    marks = {"mixture": sorted(set(marks)), "replay": other}
    plans = []
    for _ in range(2):
        made = segments(marks)
        made.plan()
        queue = [side for side, steps in marks.items() for _ in steps]
        order.shuffle(queue)
        for side in queue:
            step = made.next_mark(side)
            made.decided(side, step, constant(step / 20) if side == "mixture" else lambda u, s=step: 0 * u + s / 50)
        plans.append((made.stream.weights, made.stream.share))
    assert len(plans[0][1]) == 20
    np.testing.assert_array_equal(plans[0][0], plans[1][0])
    np.testing.assert_array_equal(plans[0][1], plans[1][1])
    last = max([0, *[m for m in marks["mixture"] if m < 20]])
    assert plans[0][0][-1, 0] == last / 20
