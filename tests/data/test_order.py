import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from cptlab.data.order import key_of, permute


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
