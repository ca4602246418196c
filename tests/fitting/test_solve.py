"""The solver: published optima, recovered truths, invariances."""

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_grid import SHARES, TRUTH, grid
from scipy.optimize import least_squares

from cptlab.fitting.linear import bounded_least_squares
from cptlab.fitting.objective import Problem, huber
from cptlab.fitting.polish import polish
from cptlab.fitting.solve import solve
from cptlab.laws.base import Law, Parameter, spread
from cptlab.laws.dcpt import DCPT


def dcpt_problem(table) -> Problem:
    columns = {name: table[name].to_numpy() for name in DCPT.inputs}
    return Problem(DCPT(), columns, table["loss"].to_numpy(), *DCPT().bounds)


def test_huber_is_square_inside_and_absolute_outside():
    np.testing.assert_allclose(huber(np.array([0.0, 0.5, -2.0, 4.0]), 1.0), [0, 0.125, 1.5, 3.5])


@pytest.mark.parametrize("seed", range(20))
def test_chinchilla_replication_is_reached_from_default_starts(chinchilla_problem: Problem, seed: int):
    got = solve(chinchilla_problem, np.ones((1, 240)), seed=seed)
    assert got.objective[0] == pytest.approx(0.001018274, abs=1e-9)
    assert got.converged[0]
    np.testing.assert_allclose(got.theta[0], [1.8172, 477.84, 2143.86, 0.34731, 0.36718], rtol=3e-4)


def test_a_clean_grid_gives_its_parameters_back():
    got = solve(dcpt_problem(grid()), np.ones((1, 540)))
    assert got.objective[0] < 1e-20
    np.testing.assert_allclose(got.theta[0], TRUTH, rtol=1e-5)


@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_a_noisy_grid_is_solved_alike_from_every_seed_and_no_worse_than_by_scipy(noise: float):
    problem = dcpt_problem(grid(noise=noise))
    objectives = [solve(problem, np.ones((1, 540)), seed=seed).objective[0] for seed in range(3)]
    np.testing.assert_allclose(objectives, objectives[0], rtol=1e-6)

    def residuals(theta: np.ndarray) -> np.ndarray:
        predicted = DCPT().predict(theta, problem.columns)
        return np.sqrt(2 * huber(np.log(predicted) - problem.log_loss))

    peer = least_squares(residuals, TRUTH, bounds=DCPT().bounds, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    assert objectives[0] <= peer.cost * (1 + 1e-6)


def test_a_noisy_grid_is_predicted_within_its_noise():
    table = grid(noise=0.01)
    problem = dcpt_problem(table)
    theta = solve(problem, np.ones((1, 540))).theta[0]
    off = DCPT().predict(theta, problem.columns) / table["clean"].to_numpy() - 1
    assert np.sqrt(np.mean(off**2)) < 0.003


def test_constant_at_its_bound_does_not_stop_the_descent(python_70m):
    problem = dcpt_problem(python_70m["pile"].query("tokens >= 5e9"))
    low, high = problem.low.copy(), problem.high.copy()
    low[[1, 4]] = high[[1, 4]] = 0.0, 0.1  # one size: A and alpha fixed
    one_size = Problem(DCPT(), problem.columns, problem.loss, low, high)
    ends = [solve(one_size, np.ones((1, len(problem.loss))), seed=seed) for seed in range(3)]
    np.testing.assert_allclose([e.objective[0] for e in ends], ends[0].objective[0], rtol=1e-4)
    assert ends[0].theta[0, 0] == 0


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_predictions_do_not_depend_on_the_order_of_rows(seed: int):
    table = grid(sizes=(1e8, 1e9, 1e10), shares=SHARES[::2], checkpoints=4, noise=0.005, seed=seed)
    shuffled = table.sample(frac=1, random_state=seed)
    one, other = (solve(dcpt_problem(t), np.ones((1, len(t)))) for t in (table, shuffled))
    assert other.objective[0] == pytest.approx(one.objective[0], rel=1e-6)
    columns = dcpt_problem(table).columns
    np.testing.assert_allclose(
        DCPT().predict(other.theta[0], columns), DCPT().predict(one.theta[0], columns), rtol=1e-4
    )


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_row_of_weight_two_is_the_row_twice(seed: int):
    table = grid(sizes=(1e8, 1e9, 1e10), shares=SHARES[::2], checkpoints=4, noise=0.005, seed=seed)
    problem = dcpt_problem(table)
    counts = np.random.default_rng(seed).integers(1, 3, len(table))
    twice = dcpt_problem(table.loc[table.index.repeat(counts)])
    theta = TRUTH[None]
    weighted = polish(problem, theta, counts.astype(float))
    repeated = polish(twice, theta, np.ones(counts.sum()))
    assert weighted.objective[0] == pytest.approx(repeated.objective[0], rel=1e-7)
    np.testing.assert_allclose(
        DCPT().predict(weighted.theta[0], problem.columns),
        DCPT().predict(repeated.theta[0], problem.columns), rtol=1e-4,
    )  # fmt: skip


def test_rows_of_weight_zero_are_as_if_absent():
    table = grid(noise=0.01)
    kept = table["share"].to_numpy() != 0.5
    some = solve(dcpt_problem(table), np.stack([np.ones(540), kept.astype(float)]))
    alone = solve(dcpt_problem(table[kept]), np.ones((1, kept.sum())))
    assert some.objective[1] == pytest.approx(alone.objective[0], rel=1e-6)


def test_members_of_a_batch_do_not_disturb_each_other():
    table = grid(noise=0.01)
    problem = dcpt_problem(table)
    weights = np.random.default_rng(0).exponential(size=(5, 540))
    batch = polish(problem, np.tile(TRUTH, (5, 1)), weights)
    alone = [polish(problem, TRUTH[None], weights[i]).objective[0] for i in range(5)]
    np.testing.assert_allclose(batch.objective, alone, rtol=1e-9)


def test_bounded_least_squares_is_exact_by_hand():
    #  minimise (c0 - 1)^2 + (c1 + 2)^2 over c0 in [0, .5], c1 >= 0
    gram, moment = np.eye(2)[None], np.array([[1.0, -2.0]])
    c, value = bounded_least_squares(gram, moment, np.zeros((1, 2)), np.array([[0.5, np.inf]]))
    np.testing.assert_allclose(c, [[0.5, 0.0]])
    np.testing.assert_allclose(value, [0.25 - 1.0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bounded_least_squares_meets_its_optimality_conditions(seed: int):
    rng = np.random.default_rng(seed)
    A, y = rng.standard_normal((7, 12, 4)), rng.standard_normal((7, 12))
    gram, moment = A.swapaxes(1, 2) @ A, (A.swapaxes(1, 2) @ y[..., None])[..., 0]
    low, high = np.tile([-0.1, 0, -np.inf, 0], (7, 1)), np.tile([0.1, np.inf, np.inf, 0.2], (7, 1))
    c, _ = bounded_least_squares(gram, moment, low, high)
    slope = (gram @ c[..., None])[..., 0] - moment
    assert ((c >= low - 1e-12) & (c <= high + 1e-12)).all()
    inside = (c > low + 1e-9) & (c < high - 1e-9)
    assert np.abs(slope[inside]).max(initial=0) < 1e-8
    assert (slope[c <= low + 1e-9] >= -1e-8).all()
    assert (slope[c >= high - 1e-9] <= 1e-8).all()


class PurePower(Law):
    """L = (N/1e6)^-a + b, with no parameter declared linear."""

    inputs: ClassVar = ("num_params",)
    linear: ClassVar = {}
    shape: ClassVar = {"a": Parameter(0.01, 2), "b": Parameter(-np.inf, np.inf, start=(-5, 5))}

    def predict(self, theta, columns):
        a, b = spread(theta)
        return np.exp(-a * np.log(columns["num_params"] / 1e6)) + b


def test_a_law_without_linear_terms_is_solved_too():
    columns = {"num_params": np.geomspace(1e6, 1e9, 30)}
    loss = PurePower().predict(np.array([0.3, 1.7]), columns)
    got = solve(Problem(PurePower(), columns, loss, *PurePower().bounds), np.ones((1, 30)))
    np.testing.assert_allclose(got.theta[0], [0.3, 1.7], rtol=1e-6)
