"""`machine=fsdp` runs of train.py, stopped and continued with another number of processes: 2 -> 1 and 1 -> 2."""

import json
import os
import signal

import numpy as np
import pytest
from started_runs import done

from cptlab.records.run import read_rows
from cptlab.records.run_folders import last_attempts
from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint import folder as checkpoints
from cptlab.training.run import train_point

STEPS = 40
# A rate and an eps at which rounding stays rounding, as in tests/training/parallel/test_equal_losses.py.
LEARNING = [f"tokens={64 * STEPS}", "optimizer.peak_lr=5e-3", "optimizer.eps=1e-6", "checkpoint.every_steps=10"]
SHARDED = ["machine=fsdp", "machine.accelerator=cpu", "machine.threads=1", "machine.attention=sdpa"]


def stop_after_a_checkpoint():
    """SIGKILL, once the checkpoint of step 20 is there, for this process and so for those that train with it."""
    commit = checkpoints.commit

    def patched(run, step, files):
        path = commit(run, step, files)
        if step == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    checkpoints.commit = patched


def losses(run):
    rows = sorted(last_attempts(read_rows(run)), key=lambda row: (row["step"], row["domain"], row["split"]))
    return np.array([[row["step"], row["loss_sum"] / row["num_tokens"], row["train_loss_sum"]] for row in rows])


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    overrides = [*study, *LEARNING, f"runs={tmp_path_factory.mktemp('plain')}"]
    return losses(train_point(compose_point(overrides), overrides, quiet=True).folder)


def world(run):
    return done(run)["of_attempt"]["world_size"], done(run)["of_attempt"]["from_step"]


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_killed_fsdp_run_goes_on_with_another_number_of_processes(
    study, undisturbed, processes, tmp_path, before, after
):  # fmt: skip
    overrides = [*study, *LEARNING, *SHARDED, f"runs={tmp_path}"]
    killed = processes(before, overrides, prepare=stop_after_a_checkpoint)
    assert killed[0].exit_code() == -signal.SIGKILL, killed[0].output()
    run = killed[0].folder()
    for other in killed[1:]:
        other.send(signal.SIGKILL)
    content = json.loads((run / "checkpoints/step_20/state.json").read_text())
    assert (content["kind"], content["world_size"]) == ("sharded", before)
    going_on = processes(after, overrides)
    assert [each.exit_code() for each in going_on] == [0] * after, "".join(each.output() for each in going_on)
    assert world(run) == (after, 20)
    assert f"processes {before} (now {after})" in going_on[0].output()
    np.testing.assert_allclose(losses(run), undisturbed, rtol=1e-5)


def test_one_process_of_several_reads_the_checksums_and_all_refuse_what_it_refuses(study, processes, tmp_path):
    overrides = [*study, *LEARNING, *SHARDED, f"runs={tmp_path}"]
    [killed] = processes(1, overrides, prepare=stop_after_a_checkpoint)
    assert killed.exit_code() == -signal.SIGKILL
    state = killed.folder() / "checkpoints/step_20/state.json"
    state.write_text(state.read_text().replace('"precision": "fp32"', '"precision": "bf16"'))
    marker = state.with_name(checkpoints.MARKER)
    sums = checkpoints.checksums(state.parent, checkpoints.files_in(state.parent))
    marker.write_text(json.dumps({"step": 20, "files": sums}))
    refused = processes(2, overrides, prepare=count_checksums)
    assert [each.exit_code() for each in refused] == [2, 2]
    assert [each.output().count("read checksums") for each in refused] == [1, 0]
    assert "error: the checkpoint at step 20" in refused[0].output()
    assert "error" not in refused[1].output()  # of several one speaks


def count_checksums():
    """A line on each reading."""
    checksums = checkpoints.checksums

    def patched(path, names):
        print("read checksums", flush=True)
        return checksums(path, names)

    checkpoints.checksums = patched
