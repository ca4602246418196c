"""Means and differences over seeds, against intervals worked by hand."""

import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.metrics.over_seeds import by_setting, change, each, error_bars, mean_curve, over_seeds, t_interval

T2, T3 = 4.302652729911275, 3.182446305284263  # quantile .975 of Student's t with 2 and 3 degrees of freedom


def test_three_seeds_have_the_textbook_interval():
    found = over_seeds({0: 1.0, 1: 2.0, 2: 3.0})  # mean 2, s = 1
    half = T2 / np.sqrt(3)
    assert found.value == 2.0
    np.testing.assert_allclose([found.low, found.high], [2 - half, 2 + half])
    assert not found.differs
    assert found.seeds == 3


def test_seeds_are_compared_pair_by_pair():
    """The settings differ by .1, .2, .3 seed by seed, though seeds differ by whole nats."""
    found = over_seeds({2: 9.3, 0: 1.1, 1: 4.2}, minus={0: 1.0, 1: 4.0, 2: 9.0})
    half = T2 * 0.1 / np.sqrt(3)
    np.testing.assert_allclose([found.value, found.low, found.high], [0.2, 0.2 - half, 0.2 + half])
    assert not found.differs
    assert over_seeds({0: 2.1, 1: 3.11}, minus={0: 1.0, 1: 2.0}).differs  # 1.105 ± .064


def test_other_seeds_are_not_compared():
    with pytest.raises(UserError, match=r"seeds \[0, 1\] and \[0, 2\]"):
        over_seeds({0: 1.0, 1: 2.0}, minus={0: 1.0, 2: 2.0})


def test_one_seed_has_a_value_and_no_interval():
    found = over_seeds({0: 1.5})
    assert found.to_json() == {"value": 1.5, "low": None, "high": None, "seeds": 1}
    assert not found.differs


def test_every_column_has_its_own_interval():
    mean, low, high = t_interval(np.array([[0.0, 5.0], [0.0, 5.0], [0.0, 5.0], [4.0, 5.0]]))
    np.testing.assert_allclose(mean, [1.0, 5.0])
    np.testing.assert_allclose([low[0], high[0]], [1 - T3 * 2 / 2, 1 + T3 * 2 / 2])  # s = 2, n = 4
    assert (low[1], high[1]) == (5.0, 5.0)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "records"))
    from run_records import FACTS, write_run

    def write(name, share, seed, rise, **changes):
        config = FACTS.config | {"mixture": {"domain_share": share}}
        losses = lambda step: {"prose": 2.0 + rise * step / 10, "code": 3.0 - step / 10}  # noqa: E731
        write_run(tmp_path, name, [5, 10], losses, config=config, seed=seed, **changes)
        return str(tmp_path)

    return write


def share(config):
    return config["mixture"]["domain_share"]


def test_runs_are_grouped_by_setting_and_seed(runs):
    for number, (at, seed) in enumerate([(0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)]):
        path = runs(f"r{number}", at, seed, rise=at + seed)
    found = by_setting(path, share)
    assert set(found) == {0.5, 1.0}
    assert each(found[1.0], change("prose")) == pytest.approx({0: 1.0, 1: 2.0})
    gained = over_seeds(each(found[1.0], change("prose")), minus=each(found[0.5], change("prose")))
    np.testing.assert_allclose([gained.value, gained.low, gained.high], 0.5)
    tokens, mean, low, _ = mean_curve(found[0.5], "prose")
    np.testing.assert_allclose(tokens, [500, 1000])
    np.testing.assert_allclose(mean, [0.5, 1.0])  # rises .25 and .75, then .5 and 1.5
    half = 12.706204736174698 * np.sqrt(0.5) * np.array([0.5, 1.0]) / np.sqrt(2)  # t with 1 degree of freedom
    np.testing.assert_allclose(mean - low, half)


def test_a_run_that_is_not_finished_is_named(runs):
    path = runs("half", 0.5, 0, rise=1, status=None)
    with pytest.raises(UserError, match="half is not finished"):
        by_setting(path, share)


def test_two_runs_of_one_setting_and_seed_are_refused(runs):
    runs("a", 0.5, 0, rise=1)
    path = runs("b", 0.5, 0, rise=1)
    with pytest.raises(UserError, match=r"b and a are both 0\.5 with seed 0"):
        by_setting(path, share)


def test_error_bars_are_distances_from_the_means():
    one = over_seeds({0: 1.0, 1: 2.0, 2: 3.0})
    value, error = error_bars([one, {"value": 1.0, "low": 0.5, "high": 3.0}])
    np.testing.assert_allclose(value, [2, 1])
    np.testing.assert_allclose(error, [[T2 / np.sqrt(3), 0.5], [T2 / np.sqrt(3), 2.0]])
