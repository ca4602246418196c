"""Real signals to a real train.py: it saves, says where it goes on, and leaves with a code that is requeued."""

import signal
import subprocess
import sys
import time

import pytest
from started_runs import ROOT, done, numbers

from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint.folder import kept, problem, step_of
from cptlab.training.checkpoint.signals import REQUEUE, Stop
from cptlab.training.run import train_point

LONG = ["tokens=64000", "evaluation.points=3"]  # 1000 steps, and no checkpoint is due before half an hour
BEFORE_LAST = "evals.jsonl"  # the base losses are written: training begins


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_signal_saves_at_the_end_of_the_step_and_says_how_to_go_on(study, tmp_path, command, signum, code):
    running = command([*study, *LONG, f"runs={tmp_path / 'runs'}"])
    running.wait_for(BEFORE_LAST)
    time.sleep(0.2)
    assert running.send(signum) == code
    folder = running.folder()
    [path] = kept(folder)
    step = step_of(path)
    assert problem(path) == ""
    assert 0 < step < 1000
    name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
    assert f"{name} at step {step} of 1000; the same command goes on from the one at step {step}" in running.output()
    assert done(folder)["status"] == "interrupted"
    assert done(folder)["reason"] == f"{name}; goes on from the one at step {step}"


def test_a_run_requeued_twice_is_the_undisturbed_run(study, tmp_path, command):
    overrides = [*study, "tokens=25600", "evaluation.points=9", "mixture=ucb", "mixture.interval=0.1"]
    outcome = train_point(compose_point(runs := [*overrides, f"runs={tmp_path / 'whole'}"]), runs, quiet=True)
    for attempt in (1, 2):
        again = command([*overrides, f"runs={tmp_path / 'cut'}"])
        again.wait_for_line("before the first update" if attempt == 1 else "goes on from step")
        time.sleep(0.1)
        assert again.send(signal.SIGTERM) == REQUEUE
    last = command([*overrides, f"runs={tmp_path / 'cut'}"])
    assert last.exit_code() == 0
    assert numbers(last.folder()) == numbers(outcome.folder)


def test_a_signal_before_training_ends_the_process_at_once():
    with Stop() as stop, pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == REQUEUE
    assert stop.name == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.fixture
def ctrl_c():
    """Handled as in a terminal; a shell's background job, in which tests may run, ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait(ctrl_c):
    with Stop() as stop:
        stop.training = True
        signal.raise_signal(signal.SIGINT)
        assert stop.name == "Ctrl-C"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_handler_that_stood_before_is_kept_and_put_back():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda *_: heard.append("usr2"))
    try:
        with Stop() as stop:
            stop.training = True
            signal.raise_signal(signal.SIGUSR2)
            assert (stop.name, heard) == ("SIGUSR2", [])  # noted: the checkpoint comes first
            stop.earlier(signal.SIGUSR2)(signal.SIGUSR2, None)
        signal.raise_signal(signal.SIGUSR2)
        assert heard == ["usr2", "usr2"]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.signum == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_scheduler_that_requeues_by_itself_decides_after_the_checkpoint(study, tmp_path):
    overrides = [*study, *LONG, f"runs={tmp_path}"]
    code = f"""
import os, signal, sys, threading, time
from pathlib import Path
from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint.folder import kept
def requeue(signum, frame):
    print("requeued with", [path.name for path in kept(next(Path({str(tmp_path)!r}).glob("[!.]*")))], flush=True)
    sys.exit(-1)
signal.signal(signal.SIGUSR2, requeue)  # as submitit does
def ask():
    while not list(Path({str(tmp_path)!r}).glob("*/evals.jsonl")):
        time.sleep(.01)
    time.sleep(.2)
    os.kill(os.getpid(), signal.SIGUSR2)
threading.Thread(target=ask, daemon=True).start()
from cptlab.training.run import train_point
train_point(compose_point({overrides!r}), [], quiet=True)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 255, ran.stderr
    assert "requeued with ['step_" in ran.stdout
