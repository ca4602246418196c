"""`cptlab sweep` when the process that loads the libraries for all points is killed while it loads them."""

import os
import signal
import sys

import pytest

from cptlab.sweeps.index import checked_points
from cptlab.sweeps.sweep import run_whole
from cptlab.sweeps.workers import KeptWorkers, WorkersError


class Killed(KeptWorkers):
    """Each of its first nurseries gets a signal as soon as it is there."""

    def __init__(self, kills, number=signal.SIGKILL):
        super().__init__()
        self.left, self.number, self.given = kills, number, []

    def get(self):
        workers = super().get()
        self.given.append(workers)
        if self.left:
            self.left -= 1
            os.kill(workers.process.pid, self.number)
        return workers


@pytest.fixture
def points(study, tmp_path):
    return checked_points([[*study, f"runs={tmp_path}"]])


def test_a_nursery_killed_while_it_loads_is_tried_again_as_often_as_a_point(points, capsys):
    with Killed(3) as kept, pytest.raises(WorkersError, match="ended before it was ready"):
        run_whole(points, 1, 1, 2, kept)
    assert len(kept.given) == 3
    assert capsys.readouterr().out.count("ready (SIGKILL); another one is started") == 2
    assert not list(points[0].path.parent.glob("*/run.json"))


def test_the_second_nursery_trains_what_the_first_was_killed_before(points):
    with Killed(1) as kept:
        driver = run_whole(points, 1, 1, 1, kept)
    assert [outcome.status for outcome in driver.outcomes] == ["finished"]


def test_a_nursery_that_ends_by_itself_would_do_so_again(points, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Killed(0) as kept, pytest.raises(WorkersError):
        run_whole(points, 1, 1, 5, kept)
    assert len(kept.given) == 1
