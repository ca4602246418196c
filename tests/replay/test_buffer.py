from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from cptlab.replay import reservoir
from cptlab.replay.buffer import UnboundedBuffer
from cptlab.replay.draws import below, choose, raw_bits
from cptlab.replay.reservoir import History, Reservoir

BUFFERS = [UnboundedBuffer(), Reservoir(capacity=7), Reservoir(capacity=1)]


def of_places(places, capacity):
    """A history of drawn places; rows beyond them enter nothing."""
    places = np.concatenate([places, np.full(reservoir.BLOCK, capacity)])
    return History(capacity, lambda first, count: places[first : first + count])


@pytest.mark.parametrize("buffer", BUFFERS, ids=["buffer", "seven", "one"])
@given(seed=st.integers(0, 9), step=st.integers(0, 99), count=st.integers(0, 30), seen=st.integers(1, 40))
def test_a_pick_is_a_pure_function_and_only_of_rows_already_seen(buffer, seed, step, count, seen):
    rows = buffer.pick(seed, step, count, seen)
    assert rows.shape == (count,)
    assert rows.dtype == np.int64
    assert ((rows >= 0) & (rows < seen)).all()
    np.testing.assert_array_equal(rows, buffer.pick(seed, step, count, seen))
    held = min(seen, getattr(buffer, "capacity", seen))
    times = Counter(rows.tolist()).values()
    assert max(times, default=0) <= -(-count // held)  # none twice before all have come once


@pytest.mark.parametrize("buffer", BUFFERS, ids=["buffer", "seven", "one"])
def test_before_the_first_fresh_row_nothing_is_picked(buffer):
    assert buffer.pick(0, 0, 0, 0).shape == (0,)
    with pytest.raises(ValueError, match="nothing has been seen"):
        buffer.pick(0, 0, 1, 0)


def test_seeds_and_steps_pick_different_rows():
    picks = [tuple(UnboundedBuffer().pick(seed, step, 8, 10_000)) for seed in range(5) for step in range(5)]
    assert len(set(picks)) == 25


def test_every_pair_of_a_small_range_is_chosen_equally_often():
    pairs = Counter(tuple(sorted(choose(0, step, 2, 5).tolist())) for step in range(5000))
    assert set(pairs) == set(combinations(range(5), 2))
    assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_the_unbounded_buffer_gives_every_row_seen_the_same_chance():
    counts = np.bincount(np.concatenate([UnboundedBuffer().pick(0, step, 3, 20) for step in range(2000)]), minlength=20)
    assert chisquare(counts).pvalue > 1e-3


def test_enumerating_all_draws_every_subset_fills_the_reservoir_equally_often():
    # Rows 2, 3 and 4 draw a place in [0, row]: 3 * 4 * 5 = 60 equally likely outcomes for the 10 pairs of 5 rows.
    counts = Counter()
    for drawn in product(range(3), range(4), range(5)):
        held = of_places(np.array([0, 1, *drawn]), capacity=2).held(np.array([0, 1]), 5)
        counts[tuple(sorted(held.tolist()))] += 1
    assert counts == {pair: 6 for pair in combinations(range(5), 2)}


def test_a_later_row_replaces_the_one_in_its_slot_and_earlier_contents_stay_known():
    history = of_places(np.array([0, 1, 1, 3, 0]), capacity=2)
    contents = [history.held(np.arange(min(2, seen)), seen).tolist() for seen in (1, 2, 3, 4, 5)]
    assert contents == [[0], [0, 1], [0, 2], [0, 2], [4, 2]]


def test_every_row_seen_is_in_the_reservoir_with_the_same_probability():
    seen, capacity, seeds = 24, 6, 2000
    buffer = Reservoir(capacity=capacity)
    contents, picks = zip(
        *((buffer.content(seed, seen), buffer.pick(seed, 3, 2, seen)) for seed in range(seeds)), strict=True
    )
    assert all(len(set(content.tolist())) == capacity for content in contents)
    counts = np.bincount(np.concatenate(contents), minlength=seen)
    # Inclusions of one seed are negatively correlated: by (n - k) / (n - 1) less than chi^2 takes for granted.
    expected = seeds * capacity / seen
    statistic = np.sum((counts - expected) ** 2) / expected / ((seen - capacity) / (seen - 1))
    assert 8 < statistic < 50  # chi^2 with 23 degrees of freedom: .1 % on either side
    assert chisquare(np.bincount(np.concatenate(picks), minlength=seen)).pvalue > 1e-3


def test_the_content_does_not_depend_on_what_was_asked_before():
    buffer = Reservoir(capacity=50)
    reservoir.history.cache_clear()
    late_first = [buffer.content(3, seen) for seen in (200_000, 70_000, 40)]
    reservoir.history.cache_clear()
    early_first = [buffer.content(3, seen) for seen in (40, 70_000, 200_000)]
    for one, other in zip(late_first, reversed(early_first), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_content_is_that_of_algorithm_r_run_row_by_row():
    seen, capacity, seed = 500, 20, 4
    bits = raw_bits(seed, reservoir.RESERVOIR, 0, reservoir.BLOCK)
    held = list(range(capacity))
    for row in range(capacity, seen):
        place = int(below(bits[row : row + 1], np.array([row + 1]))[0])
        if place < capacity:
            held[place] = row
    np.testing.assert_array_equal(Reservoir(capacity=capacity).content(seed, seen), held)


@given(bound=st.integers(1, 2**40))
def test_a_drawn_integer_never_reaches_its_bound(bound):
    words = np.array([0, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(below(words, np.array([bound, bound])), [0, bound - 1])


def test_the_bits_are_the_same_on_every_machine():
    assert raw_bits(0, 1, 0, 2).tolist() == [15003734204198539638, 13859618513508960101]
    assert raw_bits(7, 2, 12345, 2).tolist() == [17989812813515445703, 10992424508884666195]
    assert Reservoir(capacity=3).content(0, 30).tolist() == [17, 5, 22]
