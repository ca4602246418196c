"""LR-annealing law: published figures on the public curves of two sizes."""

import numpy as np
import pytest
from lr_curves import TEST, TRAIN, error_by_curve, multipower_table

from cptlab.fitting.fit import fit
from cptlab.laws.annealing import Annealing


def test_a_value_worked_by_hand():
    columns = {"lr_area": np.array([4.0, 16.0]), "anneal_area": np.array([0.0, 0.5])}
    np.testing.assert_allclose(Annealing().predict(np.array([3.0, 2.0, 0.4, 0.5]), columns), [4.0, 3.3])


@pytest.mark.parametrize(
    ("size", "published", "r2", "mae"),
    [(25, [3.158, 0.514, 0.402, 0.513], 0.9979, 0.00477), (100, [2.789, 0.593, 0.481, 0.455], 0.9978, 0.00468)],
)
def test_three_curves_predict_six_others_as_published(lawdata, size, published, r2, mae):
    got = fit("annealing", multipower_table(lawdata, size, TRAIN), num_draws=0, heldout=False)
    np.testing.assert_allclose(got.theta, published, atol=6e-4)
    test = multipower_table(lawdata, size, TEST)
    reached = error_by_curve(test, got.predict(test))
    assert reached[0] > r2 - 5e-5
    assert reached[1] < mae + 5e-6


def test_runs_of_constant_lr_cannot_tell_the_annealing_coefficient(lawdata):
    got = fit("annealing", multipower_table(lawdata, 25, ("constant_72000",)), num_draws=0, heldout=False)
    assert got.parameters["C"] == 0
    assert got.identifiability.unknown == ["C"]
