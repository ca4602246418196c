import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from cptlab.data.order import key_of, keys_of, permute


@given(st.integers(1, 5000), st.integers(0, 2**63))
def test_the_permutation_is_a_bijection_at_every_size(size, key):
    assert sorted(permute(np.arange(size), size, key).tolist()) == list(range(size))


@given(st.integers(2, 10**12), st.integers(0, 2**63), st.integers(0, 10**12))
def test_random_access_agrees_with_access_in_bulk(size, key, index):
    index %= size
    many = permute(np.array([index, 0, size - 1]), size, key)
    assert permute(np.array([index]), size, key)[0] == many[0]
    assert 0 <= many.min() <= many.max() < size


def test_the_place_of_an_index_is_uniform_over_keys():
    size, draws = 10, 2000
    places = [permute(np.array([3]), size, key_of(7, i))[0] for i in range(draws)]
    assert chisquare(np.bincount(places, minlength=size)).pvalue > 1e-4


def test_keys_differ_in_every_part():
    keys = {key_of(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(keys) == 1000


def test_neighbours_are_scattered():
    step = np.diff(permute(np.arange(10_000), 10_000, key_of(1)))
    assert np.corrcoef(step[:-1], step[1:])[0, 1] == pytest.approx(-0.5, abs=0.05)  # as for random draws


def test_all_orders_of_four_rows_are_equally_frequent():
    draws = 4800
    orders = permute(
        np.tile(np.arange(4), (draws, 1)), 4, np.repeat(keys_of(3, last=np.arange(draws))[:, None], 4, axis=1)
    )
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert chisquare(counts).pvalue > 1e-4


def test_where_neighbours_go_is_independent():
    size, draws = 32, 100_000  # on 5 to 16 rows six rounds favour some pairs by a tenth
    keys = keys_of(11, last=np.arange(draws))
    pairs = np.stack([permute(np.full(draws, i), size, keys) for i in (2, 3)])
    table = np.bincount(pairs[0] * size + pairs[1], minlength=size**2).reshape(size, size)
    off = table[~np.eye(size, dtype=bool)]
    assert not np.diag(table).any()
    assert chisquare(off).pvalue > 1e-4


@given(st.integers(1, 10**12), st.lists(st.integers(0, 2**62), min_size=1, max_size=20))
def test_one_key_an_index_agrees_with_one_key_for_all(size, parts):
    keys = keys_of(5, last=np.array(parts))
    assert keys.tolist() == [key_of(5, part) for part in parts]
    index = np.arange(len(parts)) % size
    many = permute(index, size, keys)
    assert many.tolist() == [permute(np.array([i]), size, key_of(5, p))[0] for i, p in zip(index, parts, strict=True)]


def test_the_order_is_that_of_every_earlier_version():
    np.testing.assert_array_equal(permute(np.arange(10), 10, 0), [5, 4, 6, 7, 2, 1, 9, 8, 3, 0])
    assert permute(np.array([0, 1, 10**12 - 1]), 10**12, key_of(3, 2, 1)).tolist() == [
        265367143624,
        61898719697,
        829590156112,
    ]
