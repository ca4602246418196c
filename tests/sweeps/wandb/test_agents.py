"""A study through the real `wandb sweep` and `wandb agent`, against a server on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cptlab.records.read_runs import Runs
from cptlab.records.read_wandb import WandB

ROOT = Path(__file__).parents[3]
GRID = "axes: {mixture.domain_share: [0.2, 0.6], seed: [0, 1]}\n"


def children(process):
    """Process numbers below one, itself last."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    below = [int(word) for word in listed.read_text().split()] if listed.exists() else []
    return [each for child in below for each in children(child)] + [process]


def agents_of(driver):
    """`wandb agent` processes of a driver."""
    return [each for each in children(driver)[:-1] if b"\0agent\0" in Path(f"/proc/{each}/cmdline").read_bytes()]


def wait_for(what, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_killed_agents_point_is_finished_by_another_and_fit_law_reads_all_back(study, tmp_path, wandb_server):
    runs = tmp_path / "runs"
    (tmp_path / "grid.yaml").write_text(f"name: killed\n{GRID}")
    more = [*study, f"runs={runs}", "tokens=64000", "evaluation.points=8", f"tracking.folder={runs}"]
    command = [sys.executable, "-m", "cptlab", "wandb-sweep", str(tmp_path), "--agents", "2", *more]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first = wait_for(lambda: next((f for f in runs.glob("*/evals.jsonl") if f.read_text().count("\n") > 6), None))
    lock = json.loads((first.parent / "lock.json").read_text())
    agent = next(each for each in agents_of(driver.pid) if lock["process"] in children(each))
    for process in reversed(children(agent)):
        os.kill(process, signal.SIGKILL)
    assert not (first.parent / "done.json").exists()
    said, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    assert "killed: 1 points not finished: handed out again" in said
    assert "killed: 4 of 4 points finished" in said
    again = wandb_server.sweeps["sweep1"]
    assert len(wandb_server.sweeps["sweep0"].handed_out) == 4
    assert len(again.handed_out) == 1
    facts = [json.loads(file.read_text()) for file in runs.glob("*/run.json")]
    assert [each["sweep"] for each in facts] == ["sweep0"] * 4
    done = json.loads((first.parent / "done.json").read_text())
    assert done["status"] == "finished"
    assert done["attempt"] == 2
    source = ["source=wandb", "source.project=me/cptlab", f"source.cache_dir={tmp_path}/cache", "num_draws=20"]
    table, expected = WandB(project="me/cptlab", cache_dir=f"{tmp_path}/cache").read(), Runs(path=str(runs)).read()
    assert set(table.run) == {folder.parent.name for folder in runs.glob("*/done.json")}
    for name in expected.columns:
        np.testing.assert_array_equal(table[name], expected[name], err_msg=name)
    fit = subprocess.run(
        [sys.executable, "fit_law.py", *source, f"out={tmp_path}/fit", "report=false", "compare=false"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in fit.stderr  # four points are too few for a law; that they were read is what is asked
    assert "cannot read" not in fit.stderr
    kept = "".join(file.read_text(errors="replace") for file in runs.glob("*/*.json*"))
    assert os.environ["WANDB_API_KEY"] not in kept
