import json
import os
import shutil
import signal
import sys
import threading
import time

import pytest

from cptlab.records.lock import NAME, RunLock, place
from cptlab.records.run import write_whole
from cptlab.sweeps.driver import Driver
from cptlab.sweeps.index import checked_points
from cptlab.sweeps.job import Job, jobs_of
from cptlab.sweeps.local_agent import run_planned
from cptlab.sweeps.preflight import compose_point
from cptlab.sweeps.seats import Seats, visible_gpus
from cptlab.training.outcome import Outcome
from cptlab.training.run import train_point


@pytest.fixture
def said():
    return []


def driver(jobs, said, **more):
    return Driver(jobs, Seats(2), lambda outcome: None, said.append, **more)


def test_cores_are_shared_out_by_threads_and_a_wide_point_runs_alone():
    seats = Seats(cores=4)
    wide, narrow, third = (Job(i, [], threads=threads) for i, threads in enumerate((3, 1, 1)))
    assert seats.take(wide) == seats.take(narrow) == {}
    assert seats.take(third) is None
    seats.give(wide)
    assert seats.take(third) == {}
    assert Seats(cores=2).take(Job(0, [], threads=8)) == {}  # more than there are: alone


def test_gpus_go_to_the_emptiest_and_hold_as_many_points_as_asked():
    seats = Seats(cores=1, gpus=["2", "5"], per_gpu=2)
    got = [seats.take(Job(i, [], gpu=True)) for i in range(5)]
    assert [each and each["CUDA_VISIBLE_DEVICES"] for each in got] == ["2", "5", "2", "5", None]
    pair = Seats(gpus=["0", "1", "2"])
    assert pair.take(Job(0, [], gpu=True, devices=2)) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert pair.take(Job(1, [], gpu=True, devices=2)) is None
    assert pair.take(Job(2, [], gpu=True)) == {"CUDA_VISIBLE_DEVICES": "2"}


def test_only_the_gpus_that_this_process_may_use_are_given_away(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 7")
    assert visible_gpus() == ["3", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_the_longest_points_start_first(study, tmp_path):
    planned = checked_points([[*study, f"runs={tmp_path}", f"tokens={n}"] for n in (640, 6400, 1280)])
    assert [job.overrides[-1] for job in jobs_of(planned)] == ["tokens=6400", "tokens=1280", "tokens=640"]


def test_a_full_disk_starts_nothing_and_says_what_to_do(tmp_path, said):
    job = Job(0, [], folder=tmp_path / "ab", disk=10 * shutil.disk_usage(tmp_path).total)
    sweep = driver([job], said)
    assert sweep.run() == []
    assert "nothing more was started: free some" in sweep.full
    assert sweep.workers is None  # no process was made for it


def test_a_point_that_fails_once_no_point_matters_is_not_tried_again(tmp_path, said):
    job, sweep = Job(0, []), driver([], said, retries=1)
    sweep.enough, sweep.running[0] = "enough", job
    sweep.seats.take(job)
    sweep._failed(job, Outcome("ab", tmp_path / "ab", "failed", "its process ended with SIGKILL", {}, 0.0))
    assert sweep.pending == []
    assert [outcome.status for outcome in sweep.run()] == ["failed"]


NAN = ["optimizer.peak_lr=1e30", "optimizer.clip=0", "tokens=1280"]


@pytest.mark.parametrize(
    "machine", [[], pytest.param(["machine=cpu_2"], marks=pytest.mark.slow)], ids=["one process", "two processes"]
)
def test_a_loss_that_is_no_number_is_reported_at_once_for_the_seed_would_give_it_again(
    study, tmp_path, capsys, machine
):  # fmt: skip
    [planned] = checked_points([[*study, f"runs={tmp_path}", *NAN, *machine]])
    driven = run_planned([planned], workers=1, retries=3)
    [outcome] = driven.outcomes
    assert (outcome.status, driven.full) == ("failed", "")
    assert "loss is nan at step" in outcome.reason
    assert json.loads((planned.path / "done.json").read_text())["attempt"] == 1
    assert "follows" not in capsys.readouterr().out


class Deaths:
    """A nursery whose every point dies as if the kernel had killed it, or says why it failed."""

    def __init__(self, answer):
        self.answer, self.started = answer, []

    def start(self, job, overrides, environment):
        self.started.append(job)

    def answers(self, seconds):
        return [{"job": self.started[-1]} | self.answer]

    def close(self):
        pass


NO_MEMORY = {"run_id": "ab", "folder": "", "status": "failed", "reason": "out of memory", "losses": {}, "seconds": 1.0}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [({"ended": -9}, "its process ended with SIGKILL"), ({"outcome": NO_MEMORY | {"refused": False}}, "out of memory")],
    ids=["lost process", "no memory"],
)
def test_a_point_that_lost_its_process_or_its_memory_is_tried_again_then_reported(tmp_path, said, answer, reason):
    nursery = Deaths(answer)
    [outcome] = driver([Job(0, [], folder=tmp_path / "ab")], said, retries=2, workers=nursery).run()
    assert outcome.status == "failed"
    assert reason in outcome.reason
    assert len(nursery.started) == 3
    assert [line.rpartition("; ")[2] for line in said] == ["try 2 of 3 follows", "try 3 of 3 follows"]


def test_a_real_point_whose_process_is_killed_once_is_finished_by_its_second_try(study, tmp_path, capsys):
    own = [*study, f"runs={tmp_path}", "tokens=12800", "checkpoint.every_steps=50"]
    planned = checked_points([own, [*own, "seed=1"]])
    killed = threading.Thread(target=kill_holder, args=(planned[0].path,))
    killed.start()
    driven = run_planned(planned, workers=1, retries=1)
    killed.join()
    assert [outcome.status for outcome in driven.outcomes] == ["finished", "finished"]
    assert driven.full == ""
    assert "ended with SIGKILL (out of memory?)); try 2 of 2 follows" in capsys.readouterr().out


def kill_holder(run, seconds=60):
    """SIGKILL for the process that trains a run, once it has written a checkpoint."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if list(run.glob("checkpoints/step_*/complete.json")):
            os.kill(json.loads((run / NAME).read_text())["process"], signal.SIGKILL)
            return
        time.sleep(0.005)


def test_a_point_that_another_process_trains_is_left_to_it_and_taken_when_that_dies(study, tmp_path, said):
    overrides = [*study, f"runs={tmp_path}"]
    planned = checked_points([overrides])
    lock = RunLock(planned[0].path)
    lock.acquire()
    seen = train_point(compose_point(overrides), overrides, quiet=True)
    assert seen.status == "locked"
    assert f"process {os.getpid()}" in seen.reason
    lock.release()
    planned[0].path.mkdir()
    other = {"token": "x", "place": "elsewhere", "host": "far", "process": 1}
    (planned[0].path / NAME).write_text(json.dumps(other))
    os.utime(planned[0].path / NAME, (time.time() - 117,) * 2)  # three seconds before it counts as dead
    outcomes = driver(jobs_of(planned), said).run()
    assert [outcome.status for outcome in outcomes] == ["finished"]
    assert said == [f"{planned[0].path} is trained by process 1 on far; left to it"]
    assert not (planned[0].path / NAME).exists()


def test_what_another_driver_finished_meanwhile_is_skipped(tmp_path, said):
    job = Job(0, [], folder=tmp_path / "ab")
    job.folder.mkdir()
    write_whole(job.folder / "done.json", {"status": "finished", "losses": {"a": 1.0}})
    (outcome,) = driver([job], said).run()
    assert (outcome.status, outcome.losses) == ("skipped", {"a": 1.0})


def test_a_lock_of_this_place_names_host_and_boot():
    assert place().split()[0] == os.uname().nodename or not sys.platform.startswith("linux")
