"""Laws: values worked by hand, derivatives against differences, what is declared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.laws import known_laws
from cptlab.laws.base import Law
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.dcpt import DCPT
from cptlab.units import QUANTITIES

ANYTHING = {name: np.array([0.2, 0.5, 0.3, 0.8]) * max(q.low, 1) for name, q in QUANTITIES.items()}
COLUMNS = ANYTHING | {
    "num_params": np.array([1e6, 4e6, 9e6, 4e6]),
    "num_params_mean": np.array([1e6, 3e6, 5e6, 4e6]),
    "tokens": np.array([1e8, 1e9, 4e9, 1e8]),
    "share": np.array([0.0, 0.25, 1.0, 0.5]),
    "share_one": np.array([0.0, 0.25, 0.9, 0.5]),
    "share_two": np.array([0.7, 0.0, 0.05, 0.25]),
    "share_rest": np.array([0.3, 0.75, 0.05, 0.25]),
}


def known(name: str) -> Law:
    """The law by that name, over the corpora of COLUMNS where it reads theirs; inside its valid intervals."""
    return known_laws()[name]().of_table(COLUMNS)


def rows_of(law: Law) -> dict[str, np.ndarray]:
    """COLUMNS with the shares moved inside the law's valid intervals."""
    inside = {name: np.clip(COLUMNS[name], low + 0.01, high - 0.01) for name, (low, high) in law.valid.items()}
    return COLUMNS | inside


def test_chinchilla_is_the_sum_of_its_three_terms():
    got = Chinchilla().predict(
        np.array([1.5, 2e3, 1e4, 0.5, 0.5]),
        {"num_params": np.array([1e6, 4e6]), "tokens": np.array([1e8, 1e8])},
    )
    np.testing.assert_allclose(got, [1.5 + 2 + 1, 1.5 + 1 + 1])


def test_dcpt_matches_values_worked_by_hand():
    #      E + A/N^.5 + B r^.5 / D^.5 + C/(r + .75)^1
    theta = np.array([1.0, 2e3, 2e4, 0.75, 0.5, 0.5, 0.5, 0.75, 1.0])
    columns = {"num_params": np.full(2, 1e6), "tokens": np.full(2, 1e8), "share": np.array([0.0, 0.25])}
    np.testing.assert_allclose(DCPT().predict(theta, columns), [1 + 2 + 0 + 1, 1 + 2 + 1 + 0.75])


def test_dcpt_at_a_fixed_share_is_chinchilla():
    theta = np.array([1.2, 200, 90, 0.15, 0.35, 0.6, 0.28, 0.05, 0.5])
    E, A, B, C, alpha, eta, beta, epsilon, gamma = theta
    columns = COLUMNS | {"share": np.full(4, 0.3)}
    same = np.array([E + C / (0.3 + epsilon) ** gamma, A, B * 0.3**eta, alpha, beta])
    np.testing.assert_allclose(DCPT().predict(theta, columns), Chinchilla().predict(same, columns))


def test_dcpt_has_no_nan_at_share_zero():
    theta = np.array([1.2, 200, 90, 0.15, 0.35, 0.01, 0.28, 0.05, 0.5])
    value, gradient = DCPT().value_and_gradient(theta, COLUMNS)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    names = DCPT().parameter_names
    assert gradient[0, names.index("eta")] == 0
    assert gradient[0, names.index("B")] == 0


@pytest.mark.parametrize("name", sorted(known_laws()))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_gradient_is_the_finite_difference(name: str, seed: int):
    law = known(name)
    columns = rows_of(law)
    theta = _somewhere(law, np.random.default_rng(seed))
    value, gradient = law.value_and_gradient(theta, columns)
    for j in range(len(theta)):
        step = 1e-5 * max(abs(theta[j]), 1e-2)
        up, down = (theta + sign * step * (np.arange(len(theta)) == j) for sign in (1, -1))
        slope = (law.predict(up, columns) - law.predict(down, columns)) / (2 * step)
        rounding = 1e-15 * np.abs(value).max() / step  # of the difference
        np.testing.assert_allclose(
            gradient[:, j], slope, rtol=1e-4, atol=1e-9 * np.abs(slope).max() + 1e-9 + 10 * rounding
        )


@pytest.mark.parametrize("name", sorted(known_laws()))
def test_complex_steps_agree_with_the_slopes_a_law_gives(name: str):
    law = known(name)
    columns = rows_of(law)
    theta = _somewhere(law, np.random.default_rng(3))
    basis = law.basis(theta[len(law.linear) :], columns)
    np.testing.assert_allclose(
        law.slopes(theta, basis, columns), Law.slopes(law, theta, basis, columns), rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize("name", sorted(known_laws()))
def test_a_batch_of_parameters_predicts_as_each_alone(name: str):
    law = known(name)
    columns = rows_of(law)
    thetas = np.array([_somewhere(law, np.random.default_rng(i)) for i in range(6)]).reshape(2, 3, -1)
    batch = law.predict(thetas, columns)
    assert batch.shape == (2, 3, 4)
    np.testing.assert_allclose(batch[1, 2], law.predict(thetas[1, 2], columns))


def test_laws_are_known_by_their_variant_name():
    assert known_laws()["dcpt"] is DCPT
    assert DCPT().parameter_names == ("E", "A", "B", "C", "alpha", "eta", "beta", "epsilon", "gamma")


def _somewhere(law: Law, rng: np.random.Generator) -> np.ndarray:
    """Parameters inside the bounds."""
    low, high = law.bounds
    low, high = np.where(np.isfinite(low), low, -50), np.where(np.isfinite(high), high, 50)
    return low + (high - low) * rng.uniform(0.05, 0.95, len(low))


def test_a_lower_bound_of_the_constant_is_refused_outside_its_range():
    with pytest.raises(UserError, match=r"law\.min_irreducible is 1\.0"):
        DCPT(min_irreducible=1.0)
    assert DCPT(min_irreducible=-5.0).parameters["E"].low == -5.0
    assert DCPT().parameters["E"].low == 0
