"""Decisions of mixtures that learn, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.mixtures.adaptive import Evidence
from cptlab.mixtures.topic_adaptive import TopicAdaptive
from cptlab.mixtures.ucb import UCB

NAMES = ("general", "code", "law")


def evidence(before, now, weights=None, rows=None, step=1):
    num = len(before)
    weights, rows = (np.full(num, other) if each is None else each for each, other in ((weights, 1 / num), (rows, 10)))
    arrays = (np.array(each, dtype=float) for each in (weights, rows, before, now))
    return Evidence(step, 0.1 * step, NAMES[: len(before)], *arrays)


def test_a_perplexity_that_rose_by_a_tenth_gains_a_tenth_before_scaling():
    change = np.log([1.1, 1.0, 0.9])
    got = TopicAdaptive(min_share=0).decide([evidence([2, 2, 2], 2 + change)])
    np.testing.assert_allclose(got, np.array([1.1, 1.0, 0.9]) / 3)


def test_the_corpus_that_worsened_most_gains_most_from_the_shares_in_force():
    got = TopicAdaptive(min_share=0, rate=1.5).decide([evidence([2, 2], [2 + np.log(1.2), 2], weights=[0.2, 0.8])])
    np.testing.assert_allclose(got, [0.2 * 1.3 / 1.06, 0.8 / 1.06])


def test_a_change_counts_up_to_its_limit():
    got = TopicAdaptive(min_share=0, limit=0.5).decide([evidence([1, 900], [800, 1], weights=[0.5, 0.5])])
    np.testing.assert_allclose(got, [0.75, 0.25])


def test_no_share_falls_below_the_floor():
    got = TopicAdaptive(min_share=0.1).decide([evidence([2, 2, 2], [2, 2, 2], weights=[1, 0, 0])])
    np.testing.assert_allclose(got, [0.8, 0.1, 0.1])


def test_ucb_scores_are_the_largest_change_and_the_bonus_of_corpora_drawn_little():
    history = [
        evidence([3, 3], [2.9, 3.0], rows=[30, 10]),
        evidence([2.9, 3.0], [2.6, 3.1], rows=[29, 10], step=2),
    ]
    # Changes: mean(.1, .3) = .2 and mean(0, .1) = .05; rows 59 and 20 of 79.
    bonus = np.sqrt(2 * np.log(80) / np.array([60, 21]))
    np.testing.assert_allclose(UCB().scores(history), np.array([1, 0.25]) + bonus)
    got = UCB(temperature=0.5, min_share=0).decide(history)
    assert got[0] / got[1] == pytest.approx(np.exp((0.75 + bonus[0] - bonus[1]) / 0.5))


def test_of_two_equal_corpora_the_one_drawn_less_gets_more():
    got = UCB().decide([evidence([3, 3], [2.9, 2.9], rows=[30, 10])])
    assert got[1] > got[0]
    assert got.sum() == pytest.approx(1)


def test_changes_older_than_the_window_are_forgotten_but_not_the_rows():
    old, new = evidence([3, 3], [1, 3]), evidence([1, 3], [1, 2.9], step=2)
    assert UCB(window=1, exploration=0).scores([old, new]).tolist() == [0, 1]
    one, both = (UCB(window=1).scores(history) for history in ([new], [old, new]))
    assert (one != both).all()


def test_the_corpus_that_can_be_learnt_wins():
    """Losses fall by the share they get, but only one of three corpora can be learnt at all."""
    losses, shares, history = np.array([3.0, 3.0, 3.0]), np.full(3, 1 / 3), []
    mixture = UCB(exploration=0.1)
    for step in range(1, 20):
        after = losses - np.array([0, 0, 0.1]) * shares
        history.append(evidence(losses, after, shares, 1000 * shares, step))
        losses, shares = after, mixture.decide(history)
    assert shares[2] > 0.7


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 1e6)), min_size=2, max_size=6),
    st.sampled_from([TopicAdaptive(), UCB(), UCB(temperature=0.01, min_share=0)]),
)
def test_every_decision_is_shares_above_the_floor(given_losses, mixture):
    before, now, rows = np.array(given_losses).T
    got = mixture.decide([evidence(before, now, np.full(len(now), 1 / len(now)), rows)])
    assert got.sum() == pytest.approx(1)
    assert (got >= mixture.min_share * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    ("interval", "steps", "marks"),
    [(0.25, 20, [5, 10, 15]), (1.0, 20, []), (0.3, 10, [3, 6, 9]), (0.05, 4, [1, 2, 3]), (0.4, 10, [4, 8])],
)
def test_decisions_are_spread_over_the_run_and_none_comes_after_the_last_step(interval, steps, marks):
    mixture = UCB(interval=interval)
    assert mixture.decision_steps(steps) == marks
    assert mixture.planned_at_start(steps) == (marks[0] if marks else steps)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: UCB(interval=0), r"mixture\.interval is 0; it must lie in \(0, 1\]"),
        (lambda: UCB(min_share=-0.1), r"mixture\.min_share is -0\.1"),
        (lambda: UCB(min_share=0.4).start(NAMES), r"mixture\.min_share is 0\.4; 3 corpora"),
        (lambda: UCB(temperature=0), r"mixture\.temperature is 0"),
        (lambda: UCB(exploration=-1), r"mixture\.exploration is -1"),
        (lambda: UCB(window=0), r"mixture\.window is 0"),
        (lambda: UCB(shares={"a": 0.0}), r"mixture\.shares sum to 0"),
        (lambda: TopicAdaptive(rate=2, limit=0.5), r"mixture\.rate=2 and mixture\.limit=0\.5.*below 1"),
    ],
)
def test_a_mixture_that_cannot_learn_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
