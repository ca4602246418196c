"""A run killed and started again is the undisturbed run, bit for bit."""

import json
import signal

import pytest
from safetensors.torch import load_file
from started_runs import done, numbers

from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

STEPS = ["tokens=6400", "evaluation.points=9", "checkpoint.every_steps=7"]  # 100 steps


def train(overrides):
    return train_point(compose_point(overrides), overrides, quiet=True)


@pytest.mark.parametrize(
    "learns",
    [
        [],
        ["checkpoint.kind=sharded"],
        ["model.width=128", "model.feed_forward=256"],  # wide enough for the kernels of cptlab/training/cpu
        ["mixture=ucb", "mixture.interval=0.1"],
        ["mixture=domain_only", "replay=adaptive_gradnorm", "replay.interval=0.1"],
        ["mixture=ucb", "mixture.interval=0.2", "replay=adaptive", "replay.interval=0.1"],
        ["replay=reservoir", "replay.replay_share=0.25", "replay.capacity=16"],
    ],
    ids=lambda learns: "-".join(o for o in learns if "." not in o or "kind" in o or "width" in o) or "plain",
)
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(study, tmp_path, command, learns):
    overrides = [*study, *STEPS, *learns, "optimizer.peak_lr=1e-2"]
    whole = train([*overrides, f"runs={tmp_path / 'whole'}"]).folder
    killed = command([*overrides, f"runs={tmp_path / 'killed'}"])
    killed.wait_for("checkpoints/step_28/complete.json")
    assert killed.send(signal.SIGKILL) == -signal.SIGKILL
    folder = killed.folder()
    assert not (folder / "done.json").exists()
    assert train([*overrides, f"runs={tmp_path / 'killed'}"]).status == "finished"
    assert done(folder)["of_attempt"]["from_step"] >= 28
    assert done(folder)["losses"] == done(whole)["losses"]
    assert numbers(folder) == numbers(whole)
    rows = read_rows(folder)
    assert {row["attempt"] for row in rows if row["step"] == 0} == {1}  # the base losses are measured once
    assert {row["attempt"] for row in rows if row["step"] == 100} == {2}
    ours, theirs = (load_file(each / "model" / "model.safetensors") for each in (folder, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    for decisions in ("mixture.jsonl", "replay.jsonl"):
        assert (folder / decisions).exists() == (whole / decisions).exists()
        if (whole / decisions).exists():
            assert (folder / decisions).read_text() == (whole / decisions).read_text()
    assert not (folder / "checkpoints").exists()  # a finished run keeps its weights alone
    assert json.loads((folder / "run.json").read_text())["run_id"] == whole.name
