"""Profile intervals: a case with a closed answer, refits by hand, flat valleys, correlated rows."""

from typing import ClassVar

import numpy as np
import pytest
from known_grid import grid
from scipy.stats import t as student

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.profile import allowed_rise, design_effect
from cptlab.laws.base import Law, Parameter

WIDE = Parameter(start=(-5, 5))


class LogLine(Law):
    """log L = a + b x, x = log10 N - 8: linear least squares where delta is wide."""

    inputs: ClassVar = ("num_params",)
    linear: ClassVar = {}
    shape: ClassVar = {"a": WIDE, "b": WIDE}
    variant_name: ClassVar = "log_line"

    def predict(self, theta, columns):
        return np.exp(theta[..., :1] + theta[..., 1:2] * _x(columns))


class TwoSlopes(LogLine):
    """log L = a + (b + c) x: b and c are one number."""

    shape: ClassVar = {"a": WIDE, "b": WIDE, "c": WIDE}

    def predict(self, theta, columns):
        return np.exp(theta[..., :1] + (theta[..., 1:2] + theta[..., 2:]) * _x(columns))


def _x(columns):
    return np.log10(columns["num_params"]) - 8


def line(rows: int = 60, repeat: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    x = np.linspace(-1, 1, rows)
    loss = np.exp(1.0 - 0.2 * x + 0.01 * rng.standard_normal(rows))
    columns = {"num_params": 10 ** (8 + x), "loss": loss, "run": np.arange(rows).astype(str)}
    return {name: np.repeat(column, repeat) for name, column in columns.items()}


def test_a_straight_line_has_the_interval_of_least_squares():
    table = line()
    fit = cptlab.fit(LogLine(), table, num_draws=0, heldout=False, delta=10.0)
    design = np.stack([np.ones(60), _x(table)], axis=1)
    theta, *_ = np.linalg.lstsq(design, np.log(table["loss"]))
    scale = 1.4826 * np.median(np.abs(np.log(table["loss"]) - design @ theta)) * np.sqrt(60 / 58)
    deviation = scale * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    for i, name in enumerate("ab"):
        half = student.ppf(0.95, 58) * deviation[i]
        np.testing.assert_allclose(fit.profile_interval(name), [theta[i] - half, theta[i] + half], rtol=1e-5)
    assert fit.profile_interval("b", 0.5)[0] > fit.profile_interval("b", 0.99)[0]


def test_copies_of_a_row_in_its_run_add_nothing():
    once, thrice = (
        cptlab.fit(LogLine(), line(repeat=k), num_draws=0, heldout=False, delta=10.0) for k in (1, 3)
    )  # fmt: skip
    (low, high), (a, b) = once.profile_interval("b"), thrice.profile_interval("b")
    assert b - a == pytest.approx(high - low, rel=0.03)  # but for n - p: 178 rows' median is scaled less than 58's


def test_along_a_flat_valley_the_interval_is_open():
    fit = cptlab.fit(TwoSlopes(), line(), num_draws=0, heldout=False, delta=10.0)
    assert fit.profile_interval("b") == (-np.inf, np.inf)
    low, high = fit.profile_interval("a")
    assert 0 < high - low < 0.01


@pytest.mark.parametrize("name", ["A", "E", "beta"])
def test_at_the_ends_a_refit_with_the_parameter_fixed_is_worse_by_just_what_is_allowed(name):
    table = grid(checkpoints=6, noise=0.003, shares=(0, 0.2, 0.4, 0.6, 0.8, 1.0))
    fit = cptlab.fit("dcpt", table, num_draws=0, heldout=False)
    allowed = allowed_rise(fit.problem, fit.theta, fit.observations.run, 0.9)
    low, high = fit.profile_interval(name)
    assert low < fit.parameters[name] < high
    for end in (low, high):
        refit = cptlab.fit("dcpt", table, num_draws=0, heldout=False, fixed={name: end})
        assert refit.objective - fit.objective == pytest.approx(allowed, rel=0.02)


def test_a_fixed_parameter_has_no_width_and_a_bound_stops_an_open_end():
    table = grid(checkpoints=6, noise=0.003)
    fit = cptlab.fit("dcpt", table, num_draws=0, heldout=False, fixed={"E": 1.1})
    assert fit.profile_interval("E") == (1.1, 1.1)
    assert fit.held == {"E": 1.1}
    assert fit.num_free == 8
    with pytest.raises(UserError, match="law dcpt has no parameter bta"):
        fit.profile_interval("bta")
    with pytest.raises(UserError, match="level is 90"):
        fit.profile_interval("beta", 90)


def test_the_design_effect_counts_equal_rows_of_a_run_once():
    run = np.repeat(["a", "b", "c", "d"], 5)
    assert design_effect(np.repeat([1.0, -1.0, 2.0, -2.0], 5), run) == pytest.approx(5)
    assert design_effect(np.tile([1.0, -1.0, 2.0, -2.0, 0.0], 4), run) == 1
    assert design_effect(np.arange(20.0), np.arange(20).astype(str)) == 1
