"""`cptlab wandb-sweep` where no server answers: it trains here, and a later `wandb sync` sends every run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.records.run import RunFolder
from cptlab.sweeps.wandb.offline import history

ROOT = Path(__file__).parents[3]


@pytest.fixture
def command(study, tmp_path):
    """Of a study of two points, none of them trained."""
    (tmp_path / "grid.yaml").write_text("name: lonely\naxes: {seed: [0, 1]}\n")
    runs = tmp_path / "runs"
    more = [*study, f"runs={runs}", f"tracking.folder={runs}"]
    return [sys.executable, "-m", "cptlab", "wandb-sweep", str(tmp_path), "--project", "lonely", *more]


@pytest.mark.slow
def test_nothing_is_lost_without_a_server(command, wandb_server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        done = subprocess.run([*command, "--agents", "2"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("W&B does not answer (Connection refused): training here, offline") == 1
    assert "lonely: 2 trained, 0 skipped, 0 failed" in done.stdout
    assert ("me", "lonely") not in wandb_server.runs
    kept = [str(folder) for folder in (tmp_path / "runs" / "wandb").glob("offline-run-*")]
    sent = subprocess.run([sys.executable, "-m", "wandb", "sync", *kept], capture_output=True, text=True)
    assert sent.returncode == 0, sent.stderr
    runs = wandb_server.runs["me", "lonely"].values()
    trained = {file.parent.name: json.loads(file.read_text()) for file in (tmp_path / "runs").glob("*/done.json")}
    assert {run.display_name for run in runs} == trained.keys()
    for run in runs:
        assert (run.group, run.state, len(run.history)) == ("lonely", "finished", 4)
        assert run.summary["status"] == "finished"
        for corpus, loss in trained[run.display_name]["losses"].items():
            assert run.summary[f"final/{corpus}"] == loss


def test_a_sweep_for_agents_elsewhere_is_refused_without_a_server(command, wandb_server, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "error: W&B does not answer (Connection refused), so no sweep can be created; add --offline to train here"
        " without it\n"
    )


def test_the_history_of_a_metric_is_its_losses_in_order(tmp_path):
    rows = [
        {"step": step, "attempt": 1, "split": split, "domain": "code", "loss_sum": 10 * loss, "num_tokens": 10}
        for step, split, loss in [(5, "fit", 3.0), (0, "fit", 4.0), (5, "test", 9.0), (9, "fit", 2.5)]
    ]
    (tmp_path / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert history(RunFolder(tmp_path), "loss/fit/code") == [4.0, 3.0, 2.5]
    assert history(RunFolder(tmp_path), "") == []
