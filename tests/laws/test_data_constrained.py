"""Data-constrained scaling: the published unit value, the published objective and the valley that beats it."""

import numpy as np
import pandas as pd
import pytest

from cptlab.errors import UserError
from cptlab.fitting.fit import fit
from cptlab.fitting.objective import huber
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.data_constrained import EXPONENT, LOG_A, LOG_B, DataConstrained

#                     E                    A              B              alpha     beta      R_D        R_N
PUBLISHED = np.array([np.exp(0.6254804), np.exp(LOG_A), np.exp(LOG_B), EXPONENT, EXPONENT, 15.387756, 5.309743])
FROM_SINGLE_EPOCHS = dict(zip(("E", "A", "B", "alpha", "beta"), PUBLISHED, strict=False))


@pytest.fixture(scope="module")
def repeated(lawdata) -> pd.DataFrame:
    names = {"N": "num_params", "D": "tokens", "U": "unique_tokens", "name": "run"}
    return pd.read_csv(lawdata / "data_constrained.csv").rename(columns=names)


def columns(N, D, U):
    return {"num_params": np.array([N]), "tokens": np.array([D]), "unique_tokens": np.array([U])}


def objective(theta, rows):
    law = DataConstrained()
    predicted = law.predict(np.array(theta), {x: rows[x].to_numpy() for x in law.inputs})
    return huber(np.log(predicted) - np.log(rows["loss"].to_numpy())).sum()


def test_the_published_unit_value_to_twelve_digits():
    got = DataConstrained().predict(PUBLISHED, columns(6.34e9, 242e9, 25e9))[0]
    assert got == pytest.approx(2.2256440889984477, abs=1e-12)


def test_without_repetition_and_below_the_optimal_size_it_is_chinchilla():
    row = columns(1e9, 4e10, 4e10)
    np.testing.assert_allclose(DataConstrained().predict(PUBLISHED, row), Chinchilla().predict(PUBLISHED[:5], row))


def test_tokens_without_end_are_worth_one_plus_r_d_epochs():
    endless = DataConstrained().predict(PUBLISHED, columns(1e9, 1e20, 4e10))
    worth = columns(1e9, 4e10 * (1 + 15.387756), 4e10)
    np.testing.assert_allclose(endless, Chinchilla().predict(PUBLISHED[:5], worth))


def test_published_objective_is_found_and_beaten_in_a_flat_valley(repeated):
    assert objective(PUBLISHED, repeated) == pytest.approx(0.01582594, abs=1e-8)
    got = fit("data_constrained", repeated, fixed=FROM_SINGLE_EPOCHS, num_draws=50, heldout=False)
    assert got.objective <= 0.01580466 + 5e-9
    low, high = got.interval("R_D")
    assert high / low > 10
    assert got.identifiability.loose == ["R_D"]
    assert any("flat valley: R_D within a factor of" in sentence for sentence in got.identifiability.sentences)
    assert objective([*PUBLISHED[:5], 95.4, 1.71], repeated) == pytest.approx(0.01580471, abs=1e-8)


def test_a_free_fit_goes_below_the_published_objective_by_far(repeated):
    got = fit("data_constrained", repeated, num_draws=0, heldout=False)
    assert got.objective == pytest.approx(0.00636496, abs=1e-8)
    assert got.starts_reached == got.starts_tried


def test_planted_parameters_come_back(repeated):
    law = DataConstrained()
    loss = law.predict(PUBLISHED, {x: repeated[x].to_numpy() for x in law.inputs})
    got = fit("data_constrained", repeated.assign(loss=loss), num_draws=0, heldout=False)
    np.testing.assert_allclose(got.theta, PUBLISHED, rtol=1e-3)


def test_a_frontier_below_zero_is_refused():
    with pytest.raises(UserError, match=r"law\.optimal_factor is -1"):
        DataConstrained(optimal_factor=-1)
