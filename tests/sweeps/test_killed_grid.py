"""SIGKILL at any moment: the same command continues, and the records are those of a grid that nobody disturbed."""

import random
import sys
import time

import pytest
from kills import Grid

TOKENS = 2560  # of each of twelve points: 40 steps, so that this takes no longer
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    grid = Grid(tmp_path_factory.mktemp("undisturbed"), study, TOKENS)
    assert grid.start().wait(240) == 0, grid.log.read_text()
    return grid.records()


def test_a_grid_whose_driver_and_agents_are_killed_ends_as_if_nobody_had(study, undisturbed, tmp_path):
    grid, moments = Grid(tmp_path, study, TOKENS), random.Random()
    assert len(undisturbed) == 12
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
    assert len(grid.ended) == 12
    assert grid.records() == undisturbed
    assert grid.ends()[1] == 0
    assert not list(grid.runs.glob("*/lock.json"))
