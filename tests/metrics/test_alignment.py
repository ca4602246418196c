"""Cosines, influence and noise of gradients that are written down."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.metrics.alignment import Alignment


def alignment(*halves):
    """Of half gradients (2k vectors)."""
    vectors = np.array(halves, float)
    return Alignment([f"c{i}" for i in range(len(halves) // 2)], vectors @ vectors.T)


def test_without_noise_cosine_and_influence_are_those_of_the_vectors():
    found = alignment([3, 4], [3, 4], [-10, 0], [-10, 0])
    np.testing.assert_allclose(found.norm, [5, 10])
    np.testing.assert_allclose(found.cosine, [[1, -0.6], [-0.6, 1]])
    np.testing.assert_allclose(found.influence, [[1, -30 / 100], [-30 / 25, 1]])
    np.testing.assert_allclose(found.corrected, found.cosine)
    np.testing.assert_allclose(found.agreement, 1)
    np.testing.assert_allclose(found.cosine_se, 0, atol=1e-12)
    assert found.verdict(0, 1) == "conflicting"
    assert found.verdict(0, 0) == "aligned"


def test_influence_has_a_direction():
    found = alignment([1, 0], [1, 0], [4, 0], [4, 0]).influence
    assert found[1, 0] == 4  # a step down the long gradient gains four times what the short one gains on itself
    assert found[0, 1] == 0.25


def test_halves_that_disagree_make_a_cosine_unclear():
    found = alignment([1, 3], [1, -3], [1, 0], [1, 0])
    np.testing.assert_allclose(found.cosine[0, 1], 1)  # the means are parallel
    noisy = alignment([4, 0], [-3, 0], [1, 0], [1, 0])
    assert noisy.cosine_se[0, 1] == pytest.approx(3.5 / 0.5)  # (4 - -3) / 2 over |(4 - 3) / 2| |1|
    assert noisy.verdict(0, 1) == "unclear"
    assert np.isnan(noisy.corrected[0, 1])
    assert noisy.agreement[0] == -1
    json.dumps(noisy.to_json(), allow_nan=False)


def test_the_correction_finds_the_cosine_behind_the_noise():
    rng = np.random.default_rng(0)
    n = 200_000
    signal = rng.normal(size=n)
    other = 0.5 * signal + 0.75**0.5 * rng.normal(size=n)
    found = alignment(*(g + 2 * rng.normal(size=n) for g in (signal, signal, other, other)))
    assert found.corrected[0, 1] == pytest.approx(0.5, abs=0.03)
    assert found.cosine[0, 1] == pytest.approx(0.5 / 3, abs=0.02)  # 1 + 4/2: noise of two halves
    assert found.agreement == pytest.approx(0.2, abs=0.02)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_cosines_lie_in_their_range_and_do_not_depend_on_scale(seed, scale):
    halves = np.random.default_rng(seed).normal(size=(6, 5))
    one, other = alignment(*halves), alignment(*halves[:2], *(scale * halves[2:4]), *halves[4:])
    assert (np.abs(one.cosine) <= 1 + 1e-12).all()
    np.testing.assert_allclose(one.cosine, one.cosine.T)
    np.testing.assert_allclose(one.cosine, other.cosine, atol=1e-9)
    np.testing.assert_allclose(one.cosine_se, other.cosine_se, atol=1e-9)


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2 corpora need"):
        Alignment(["a", "b"], np.ones((2, 2)))
