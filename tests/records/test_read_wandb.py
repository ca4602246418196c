"""source=wandb against the real client and a server on this machine."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from origins import log_to_wandb

from cptlab.errors import UserError
from cptlab.records.flat_rows import flat, rows_of
from cptlab.records.read_runs import Runs
from cptlab.records.read_wandb import WandB
from cptlab.records.run import EvalRow
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[2]
NAMES = st.text("abc./-_é ", min_size=1, max_size=8)
FLOATS = st.floats(0, 1e12, allow_nan=False)


@given(st.lists(st.tuples(NAMES, FLOATS, FLOATS), min_size=1, max_size=4, unique_by=lambda x: x[0]), FLOATS)
def test_rows_survive_the_trip_through_flat_keys_and_json(measured, lr):
    counts = {name: i for i, (name, _, _) in enumerate(measured)}
    rows = [
        EvalRow("x", 1, 3, 300, counts, counts, 0, lr, lr, 0.0, name, split, loss, 10, 30, error, 1.0)
        for name, loss, error in measured
        for split in ("fit", "test")
    ]
    assert rows_of(json.loads(json.dumps(flat(rows))), "x") == [asdict(row) for row in rows]


def test_history_that_is_no_evaluation_holds_no_rows():
    assert rows_of({"loss": 3.0, "_step": 1}, "x") == []


@pytest.fixture
def source(tmp_path):
    return lambda project, **fields: WandB(project=f"me/{project}", cache_dir=str(tmp_path / "cache"), **fields)


def test_a_trained_run_is_read_back_from_wandb_as_from_its_folder(study, tmp_path, wandb_server, source):
    def train(*more):
        overrides = [*study, f"runs={tmp_path}/runs", "tracking=wandb", "tracking.project=real", *more]
        return train_point(compose_point([*overrides, f"tracking.folder={tmp_path}"]), overrides, quiet=True)

    base = train("mixture=general_only", "save_model=true")
    outcome = train(f"model.base_run={base.folder}", "lr_schedule=cosine")
    table, expected = source("real").read(), Runs(path=str(tmp_path / "runs")).read()
    assert set(table.run) == {outcome.run_id}
    assert table.left_out == expected.left_out
    for name in expected.columns:
        np.testing.assert_array_equal(table[name], expected[name], err_msg=name)
    kept = next(run for run in wandb_server.runs["me", "real"].values() if run.display_name == outcome.run_id)
    done = json.loads((outcome.folder / "done.json").read_text())
    assert kept.summary["final/sums"] == done["losses"]["sums"]
    last = [json.loads(x) for x in (outcome.folder / "evals.jsonl").read_text().splitlines()][-1]
    assert last in rows_of(kept.summary, outcome.run_id)  # the final rows are in the summary, too


def test_a_finished_run_is_fetched_once_and_its_copy_is_a_run_folder(make_run, tmp_path, wandb_server, source):
    make_run("a")
    make_run("open", status=None)
    (tmp_path / "runs" / "open" / "done.json").write_text('{"status": "failed", "reason": "out of memory"}')
    log_to_wandb(tmp_path / "runs", "once")
    first = source("once").read()
    asked = len(wandb_server.operations)
    again = source("once").read()
    assert wandb_server.operations[asked:].count("HistoryPage") == 1  # of the failed run alone
    np.testing.assert_array_equal(again["loss"], first["loss"])
    assert "run open (failed: out of memory)" in again.left_out
    copy = Runs(path=str(tmp_path / "cache" / "me" / "once")).read()
    np.testing.assert_array_equal(copy["loss"], first["loss"])
    names = {file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()}
    assert names == {"run.json", "evals.jsonl", "done.json"}
    kept = "".join(file.read_text() for file in (tmp_path / "cache").rglob("*.json*"))
    assert os.environ["WANDB_API_KEY"] not in kept


def test_attempts_of_one_run_count_as_one(make_run, tmp_path, wandb_server, source):
    make_run("a")
    log_to_wandb(tmp_path / "runs", "attempts")
    done = tmp_path / "runs" / "a" / "done.json"
    done.write_text('{"status": "interrupted", "reason": "stopped by the user"}')
    log_to_wandb(tmp_path / "runs", "attempts")
    table = source("attempts").read()
    assert len(wandb_server.runs["me", "attempts"]) == 2
    assert len(table) == 6
    assert not [reason for reason in table.left_out if "run a" in reason]


def test_a_sweep_and_filters_choose_among_runs_and_others_are_named(make_run, tmp_path, wandb_server, source):
    import wandb

    make_run("a")
    make_run("b")
    log_to_wandb(tmp_path / "runs", "chosen")
    kept = {run.display_name: run for run in wandb_server.runs["me", "chosen"].values()}
    kept["a"].sweep = "sw1"
    assert set(source("chosen", sweep="sw1").read().run) == {"a"}
    kept["b"].state = "crashed"
    assert set(source("chosen", filters={"state": "crashed"}).read().run) == {"b"}
    with wandb.init(project="chosen", dir=str(tmp_path), settings=wandb.Settings(silent=True, console="off")) as other:
        other.log({"loss": 1.0})
    left_out = source("chosen").read().left_out
    assert f"W&B run {other.id} (not logged by tracking=wandb of cptlab)" in left_out
    with pytest.raises(UserError, match=r"no run in source\.project=me/chosen source\.sweep=none on W&B"):
        source("chosen", sweep="none").read()


def test_what_cannot_be_read_is_one_sentence(wandb_server, source):
    with pytest.raises(UserError, match=r"source=wandb cannot read me/missing \(Could not find project missing\)"):
        source("missing").read()
    with pytest.raises(UserError, match=r"source\.project is 'cptlab'; give entity/project"):
        WandB(project="cptlab").read()
    with pytest.raises(UserError, match=r"source\.filters is 'finished'; write it as"):
        WandB(project="me/x", filters="finished")


def test_without_a_server_the_command_says_so_and_names_the_copies(make_run, tmp_path, wandb_server):
    make_run("a")
    shutil.copytree(tmp_path / "runs", tmp_path / "cache" / "me" / "gone")
    env = os.environ | {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_HTTP_TIMEOUT": "1"}
    command = ["fit_law.py", "source=wandb", "source.project=me/gone", f"source.cache_dir={tmp_path}/cache"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=env, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: source=wandb cannot read me/gone (")
    assert f"source=runs source.path={tmp_path}/cache/me/gone" in done.stderr
    assert done.stderr.count("\n") == 1
