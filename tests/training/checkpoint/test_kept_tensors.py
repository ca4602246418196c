"""What methods against forgetting keep beside the weights survives a kill, bit for bit."""

import signal

import pytest
from safetensors.torch import load_file
from started_runs import done, numbers

from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint.disk import predict
from cptlab.training.run import train_point

STEPS = ["tokens=3200", "evaluation.points=9", "checkpoint.every_steps=7", "optimizer.peak_lr=1e-2",
         "mixture=domain_only"]  # fmt: skip


def train(overrides):
    return train_point(compose_point(overrides), overrides, quiet=True)


@pytest.mark.parametrize(
    "method",
    [
        ["replay=mer", "replay.every=3", "regularizer=rwalk"],
        ["replay=fixed", "regularizer=kl_to_base", "adapter=lora", "adapter.rank=2", "checkpoint.kind=sharded"],
        ["replay=agem", "regularizer=ewc", "regularizer.rows=4"],
    ],
    ids=lambda method: "-".join(o for o in method if "." not in o),
)
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(study, tmp_path, command, method):
    overrides = [*study, *STEPS, *method]
    whole = train([*overrides, f"runs={tmp_path / 'whole'}"]).folder
    killed = command([*overrides, f"runs={tmp_path / 'killed'}"])
    killed.wait_for("checkpoints/step_21/complete.json")
    assert killed.send(signal.SIGKILL) == -signal.SIGKILL
    folder = killed.folder()
    assert train([*overrides, f"runs={tmp_path / 'killed'}"]).status == "finished"
    assert done(folder)["of_attempt"]["from_step"] >= 21
    assert numbers(folder) == numbers(whole)
    files = ["model/model.safetensors", *(["importance.safetensors"] if "regularizer=rwalk" in method else [])]
    for file in files:
        ours, theirs = load_file(folder / file), load_file(whole / file)
        assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_the_room_that_they_take_in_a_checkpoint_is_counted(study):
    one, more = (predict(compose_point([*study, *choice]), 1000, 1000) for choice in ([], ["replay=mer", "regularizer=ewc"]))  # fmt: skip
    assert more.checkpoint == one.checkpoint + 3 * 4000
