"""Parameter correlations, by hand."""

import numpy as np
import pytest

from cptlab.fitting.correlations import correlate


def test_correlations_are_those_of_the_inverse_of_the_normal_equations():
    # J'J = [[2, 1], [1, 1]], its inverse [[1, -1], [-1, 2]]
    found = correlate(["a", "b"], np.array([[1.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found.matrix, [[1, -np.sqrt(0.5)], [-np.sqrt(0.5), 1]])
    assert found.sentences() == []


def test_a_pair_that_is_one_number_is_named_unless_a_valley_was():
    x = np.linspace(1, 2, 9)
    found = correlate(["a", "b", "c"], np.stack([x, 2 * x, np.ones(9)], axis=1))
    (sentence,) = found.sentences()
    assert sentence.startswith("a and b (-1.000) are correlated so closely")
    assert found.sentences(without=["a", "b"]) == []


def test_a_parameter_that_moves_nothing_is_left_out():
    found = correlate(["a", "b"], np.array([[1.0, 0.0], [2.0, 0.0]]))
    assert found.names == ["a"]
    assert found.to_json() == {"names": ["a"], "matrix": [[pytest.approx(1.0)]]}
    assert correlate([], np.empty((3, 0))).names == []
