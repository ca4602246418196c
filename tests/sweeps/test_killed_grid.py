"""SIGKILL at any moment: the same command continues, and the records are those of a grid that nobody disturbed."""

import random
import sys
import time

import pytest
from kills import Grid

SHARES = "0, 0.3, 0.7, 1"  # with two seeds eight points
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    grid = Grid(tmp_path_factory.mktemp("undisturbed"), study, shares=SHARES)
    assert grid.start().wait(240) == 0, grid.log.read_text()
    return grid.records()


def test_a_grid_whose_driver_and_agents_are_killed_ends_as_if_nobody_had(study, undisturbed, tmp_path):
    grid, moments = Grid(tmp_path, study, shares=SHARES), random.Random()
    assert len(undisturbed) == 8
    driver = grid.start()
    for what in ("agent", "driver", "all"):
        if not grid.wait_for_training(driver):
            break
        time.sleep(moments.uniform(0, 1))
        grid.check_ends()
        grid.kill(driver, what)
        if what != "agent":
            driver = grid.start()
    assert driver.wait(240) == 0, grid.log.read_text()
    grid.check_ends()
    assert len(grid.ended) == 8
    assert grid.records() == undisturbed
    assert grid.ends()[1] == 0
    assert not list(grid.runs.glob("*/lock.json"))
