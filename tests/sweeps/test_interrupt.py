"""Ctrl-C on a sweep ends it: the running points are recorded as interrupted, no further one starts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGUSR1, 75)]
)
def test_a_signal_stops_the_sweep_and_the_same_command_continues(study, tmp_path, number, code):
    grid = tmp_path / "grid.yaml"
    grid.write_text("axes: {seed: [0, 1, 2, 3]}\n")
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "cptlab", "sweep", str(grid), "--workers", "1", *study, f"runs={runs}"]
    long = subprocess.Popen(
        [*command, "tokens=6.4e6"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    deadline = time.monotonic() + 120
    while not list(runs.glob("*/evals.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(long.pid, number) if number == signal.SIGINT else long.send_signal(number)
    assert long.wait(60) == code
    ends = [json.loads(file.read_text())["status"] for file in runs.glob("*/done.json")]
    assert ends == ["interrupted"]
    if number != signal.SIGINT:
        return
    done = subprocess.run([*command, "tokens=640"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "4 trained, 0 skipped, 0 failed" in done.stdout
    again = subprocess.run([*command, "tokens=640"], cwd=ROOT, capture_output=True, text=True)
    assert "0 trained, 4 skipped, 0 failed" in again.stdout


def takes(process, number):
    """Whether a process handles a signal itself."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(text.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_a_sweep_that_has_not_checked_its_points_yet_asks_for_it_again(study, tmp_path, number):
    (tmp_path / "grid.yaml").write_text("seeds: [0]\n")
    command = [sys.executable, "-m", "cptlab", "sweep", str(tmp_path), *study, f"runs={tmp_path}/runs"]
    sweep = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not takes(sweep, number) and time.monotonic() < deadline:
            time.sleep(0.002)
        sweep.send_signal(number)
        assert sweep.wait(60) == 75
    finally:
        sweep.kill()
    assert not (tmp_path / "runs").exists()
