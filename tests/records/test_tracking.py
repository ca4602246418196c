"""tracking=wandb: what W&B's pages show, and that nothing is lost where no server answers."""

import json
import os
import subprocess
import sys

import pytest
from origins import log_to_wandb

from cptlab.records.read_runs import Runs
from cptlab.records.run import EvalRow
from cptlab.records.wandb_address import why_silent
from cptlab.training import tracking


def kept_run(server, project):
    (run,) = server.runs["me", project].values()
    return run


def test_the_summary_holds_the_columns_that_laws_read(make_run, tmp_path, wandb_server):
    make_run("a")
    log_to_wandb(tmp_path / "runs", "columns")
    summary, table = kept_run(wandb_server, "columns").summary, Runs(path=str(tmp_path / "runs")).read()
    last = [i for i in range(len(table)) if table["tokens"][i] == max(table["tokens"])]
    for i in last:
        assert summary[f"law/loss/{table.domain[i]}"] == pytest.approx(table["loss"][i])
        for name in ("num_params", "tokens", "domain_share", "peak_lr"):
            assert summary[f"law/{name}"] == pytest.approx(table[name][i])


def test_a_run_without_a_server_is_kept_offline_with_its_sweep_and_synced_later(
    make_run, tmp_path, wandb_server, monkeypatch, capfd
):
    import wandb

    make_run("a")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw9")
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()
    log_to_wandb(tmp_path / "runs", "later")
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.address)
    wandb.teardown()
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("W&B does not answer (Connection refused): this run is kept offline")
    (offline,) = (tmp_path / "wandb").glob("offline-run-*")
    assert ("me", "later") not in wandb_server.runs
    done = subprocess.run([sys.executable, "-m", "wandb", "sync", str(offline)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = kept_run(wandb_server, "later")
    assert (run.sweep, run.group, run.display_name) == ("sw9", "mine", "a")
    assert run.history
    assert os.environ["WANDB_API_KEY"] not in json.dumps([run.config, run.summary])


def test_what_a_network_that_went_away_kept_back_is_sent_by_the_command_that_is_told(
    make_run, tmp_path, wandb_server, monkeypatch, capfd
):
    monkeypatch.setattr(tracking, "SENDING", 2)
    folder = tmp_path / "runs" / "b"
    make_run("b")
    rows = [EvalRow(**json.loads(line)) for line in (folder / "evals.jsonl").read_text().splitlines()]
    tracker = tracking.WandB(project="cut", folder=str(tmp_path))
    tracker.start(json.loads((folder / "run.json").read_text()), folder)
    monkeypatch.setattr(wandb_server, "silent", True)
    steps = sorted({row.step for row in rows})
    for step in steps:
        tracker.log([row for row in rows if row.step == step])
    tracker.finish(json.loads((folder / "done.json").read_text()))
    monkeypatch.setattr(wandb_server, "silent", False)
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B did not take all")]
    assert len(told) == 1
    assert not kept_run(wandb_server, "cut").history
    done = subprocess.run([sys.executable, "-m", *told[0].split("`")[1].split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = kept_run(wandb_server, "cut")
    assert [json.loads(row)["step"] for row in run.history] == steps
    assert (run.state, run.summary["status"]) == ("finished", "finished")


def test_an_address_is_silent_or_not(wandb_server):
    assert why_silent(wandb_server.address) == ""
    assert why_silent("http://127.0.0.1:9") == "Connection refused"
