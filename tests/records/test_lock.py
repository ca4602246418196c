import json
import os
import subprocess
import sys
import time

import pytest

from cptlab.records.lock import LOST, NAME, RunLock, alive, born, holder, place


def content(run):
    return json.loads((run / NAME).read_text())


def test_the_first_has_the_lock_and_the_second_hears_who(tmp_path):
    first, second = RunLock(tmp_path / "ab"), RunLock(tmp_path / "ab")
    assert first.acquire() is None
    assert second.acquire()["process"] == os.getpid()
    first.release()
    assert second.acquire() is None
    second.release()
    assert not (tmp_path / "ab").exists()  # nothing was written there


def test_a_lock_tells_the_step_and_is_kept_fresh(tmp_path):
    lock = RunLock(tmp_path / "ab", beat=0.02)
    lock.watch(lambda: (3, 10, 0.5))
    lock.acquire()
    before = content(tmp_path / "ab")["beat"]
    while content(tmp_path / "ab")["beat"] == before:
        time.sleep(0.01)
    held = holder(tmp_path / "ab")
    assert (held["step"], held["steps"], held["seconds_per_step"]) == (3, 10, 0.5)
    lock.release()
    assert holder(tmp_path / "ab") is None


def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path):
    code = f"from pathlib import Path; from cptlab.records.lock import RunLock; RunLock(Path({str(tmp_path)!r}) / 'ab').acquire(); import os; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert (tmp_path / "ab" / NAME).exists()
    lock = RunLock(tmp_path / "ab")
    assert lock.acquire() is None
    lock.release()


@pytest.mark.parametrize(("age", "held"), [(60, True), (121, False)])
def test_on_another_machine_only_silence_tells_that_a_process_is_dead(tmp_path, age, held):
    other = {"token": "x", "place": "elsewhere", "host": "elsewhere", "process": 1}
    (tmp_path / NAME).write_text(json.dumps(other))
    os.utime(tmp_path / NAME, (time.time() - age,) * 2)
    assert (holder(tmp_path) is not None) is held


def test_a_number_given_to_a_new_process_is_not_the_old_one(tmp_path):
    held = {"token": "x", "place": place(), "process": os.getpid(), "born": "1"}
    (tmp_path / NAME).write_text(json.dumps(held))
    assert holder(tmp_path) is None
    (tmp_path / NAME).write_text(json.dumps(held | {"born": born(os.getpid())}))
    assert holder(tmp_path)["process"] == os.getpid()


def test_who_slept_through_a_takeover_ends_without_a_word(tmp_path):
    code = f"""
import time
from pathlib import Path
from cptlab.records.lock import RunLock
lock = RunLock(Path({str(tmp_path)!r}) / "ab", beat=0.2)
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    (tmp_path / "ab" / NAME).write_text(json.dumps({"token": "other", "process": 7, "host": "h"}))
    told = process.communicate(timeout=30)[1]
    assert process.returncode == LOST
    assert "another (process 7 on h) trains the point now" in told
    assert content(tmp_path / "ab")["token"] == "other"


def test_of_many_at_once_one_gets_it(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from cptlab.records.lock import RunLock
lock = RunLock(Path({str(tmp_path)!r}) / "ab")
sys.stdin.readline()
print(lock.acquire() is None, flush=True)
sys.stdin.readline()
"""
    many = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / NAME).write_text(json.dumps({"token": "x", "place": place(), "process": -1}))  # a dead one's
    for each in many:
        each.stdin.write("\n")
        each.stdin.flush()
    got = [each.stdout.readline().strip() for each in many]
    for each in many:
        each.communicate("\n")
    assert sorted(got) == ["False"] * 5 + ["True"]


def test_a_process_that_ended_and_was_not_collected_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(process.pid) or not sys.platform.startswith("linux")
    assert alive(os.getpid())
    process.wait()
