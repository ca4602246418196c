"""A study through the real `wandb sweep` and `wandb agent`, against a server on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from cptlab.records.read_runs import Runs
from cptlab.records.read_wandb import WandB
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
GRID = "name: killed\naxes: {mixture.domain_share: [0.1, 0.4, 0.7, 1]}\n"
STEPS = 200  # so many that a run is caught in its midst
READ = ("num_params_nonembed", "num_params_total", "tokens_total", "tokens_per_step", "peak_lr", "seed", "general",
        "domain", "base", "tokenizer_hash", "steps_total")  # fmt: skip


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


def by_place(rows):
    """Rows by what they are of, without their clock."""
    return {(row["step"], row["domain"], row["split"]): row | {"seconds": 0} for row in rows}


def sweeps_of(server):
    """Names of this study's sweeps, the first one first; other tests make their own on the same server."""
    return [name for name, kept in server.sweeps.items() if kept.project == "agents"]


@pytest.fixture(scope="module")
def swept(study, tmp_path_factory, wandb_server):
    """(run folders, what the driver said, the folder of the run whose agent was killed) of a grid of four points."""
    folder = tmp_path_factory.mktemp("swept")
    base = [*study, f"runs={folder}/bases", "mixture=general_only"]
    trained = train_point(compose_point(base), base, quiet=True)
    assert trained.status == "finished", trained.reason
    runs = folder / "runs"
    (folder / "grid.yaml").write_text(GRID)
    more = [*study, f"model.base_run={trained.folder}", f"runs={runs}", f"tracking.folder={runs}"]
    more += [f"tokens={64 * STEPS}", "evaluation.points=8", "tracking.project=agents"]
    command = [sys.executable, "-m", "cptlab", "wandb-sweep", str(folder), "--agents", "2", *more]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    begun = wait_for(lambda: next((f for f in runs.glob("*/evals.jsonl") if f.read_text().count("\n") > 6), None))
    lock = json.loads((begun.parent / "lock.json").read_text())
    agent = next(each for each in agents_of(driver.pid) if lock["process"] in children(each))
    for process in reversed(children(agent)):
        os.kill(process, signal.SIGKILL)
    assert not (begun.parent / "done.json").exists()
    said, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    return runs, said, begun.parent


def test_a_killed_agents_point_is_finished_by_another(swept, wandb_server):
    runs, said, killed = swept
    assert said.count("was killed; another one takes its place") == 1
    assert "killed: 1 points not finished: handed out again" in said
    assert "killed: 4 of 4 points finished" in said
    assert [len(wandb_server.sweeps[name].handed_out) for name in sweeps_of(wandb_server)] == [4, 1]
    ends = {file.parent: json.loads(file.read_text()) for file in runs.glob("*/done.json")}
    assert {folder: done["attempt"] for folder, done in ends.items()} == {
        folder: 1 + (folder == killed) for folder in ends
    }
    assert [done["status"] for done in ends.values()] == ["finished"] * 4


def test_run_json_keeps_the_sweep(swept, wandb_server):
    runs, _, _ = swept
    facts = [json.loads(file.read_text()) for file in runs.glob("*/run.json")]
    assert [each["sweep"] for each in facts] == sweeps_of(wandb_server)[:1] * 4  # of a run's first attempt


def test_no_credentials_are_kept_anywhere(swept, wandb_server):
    runs, said, _ = swept
    key = os.environ["WANDB_API_KEY"].encode()
    files = [file for file in runs.parent.rglob("*") if file.is_file()]
    assert len(files) > 40  # records, checkpoints, W&B's own files, logs of agents
    assert [file for file in files if key in file.read_bytes()] == []
    assert key.decode() not in said + repr(wandb_server.runs) + repr(wandb_server.uploads)


def test_what_the_sweep_logged_is_read_back_to_the_last_digit(swept, tmp_path, wandb_server):
    runs, _, killed = swept
    first, second = sweeps_of(wandb_server)
    left_out = Counter()
    source = WandB(project="me/agents", cache_dir=str(tmp_path / "cache"))
    logged = {run.facts["run_id"]: run for run in source.runs(left_out)}
    recorded = {run.facts["run_id"]: run for run in Runs(path=str(runs)).runs(left_out)}
    assert logged.keys() == recorded.keys()
    for name, run in recorded.items():
        assert by_place(logged[name].rows) == by_place(run.rows)
        assert {key: logged[name].facts[key] for key in READ} == {key: run.facts[key] for key in READ}
        assert logged[name].facts["sweep"] == (second if name == killed.name else first)


def test_fit_law_fits_the_sweep_as_it_fits_the_records(swept, tmp_path):
    runs, _, _ = swept
    answers = []
    for source in (
        ["source=wandb", "source.project=me/agents", f"source.cache_dir={tmp_path}/cache"],
        [f"source.path={runs}"],
    ):
        out = tmp_path / str(len(answers))
        more = [
            "law=mixing",
            "law.reference=prose",
            "num_draws=20",
            "report=false",
            "compare=false",
            "heldout=false",
            f"out={out}",
        ]
        done = subprocess.run([sys.executable, "fit_law.py", *source, *more], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads((out / "fit.json").read_text()))
    for logged, recorded in zip(*answers, strict=True):  # their order decides only the last digits and the resamples
        assert logged["num_points"] == recorded["num_points"]
        for name, parameter in recorded["parameters"].items():
            assert logged["parameters"][name]["value"] == pytest.approx(parameter["value"], rel=1e-3)
    assert {fit["num_runs"] for fit in answers[0]} == {4}
