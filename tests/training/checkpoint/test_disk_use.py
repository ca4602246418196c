"""A disk that cannot hold the run refuses it; one that fills up costs no checkpoint that is there."""

import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from started_runs import ROOT, numbers

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.optimizers.groups import kinds
from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint.disk import MARGIN, NoSpaceError, check_space, free_bytes, predict, readable
from cptlab.training.run import train_point


def test_the_prediction_counts_weights_moments_and_the_one_being_written():
    config = compose_point(["checkpoint.keep=2"])
    needed = predict(config, num_params=1000, num_trained=1000)
    assert needed.checkpoint == 12_000  # fp32 weights and two fp32 moments
    assert needed.checkpoints == 36_000
    assert needed.total == 40_000
    assert predict(config, num_params=1000, num_trained=10).checkpoint == 120  # an adapter alone
    assert predict(compose_point(["save_model=false"]), 1000, 1000).final == 0


@pytest.mark.parametrize(
    ("optimizer", "states"),
    [("adamw", 8000), ("adamw8bit", 2000), ("lion8bit", 1000), ("muon", 900 * 4 + 100 * 8), ("schedule_free", 8000)],
)
def test_the_prediction_counts_the_states_of_the_optimizer(optimizer, states):
    schedule = ["lr_schedule=constant"] if optimizer == "schedule_free" else []
    config = compose_point([f"optimizer={optimizer}", *schedule])
    needed = predict(config, num_params=1000, num_trained=1000, num_ends=100)
    assert needed.checkpoint == 4000 + states


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "galore", "schedule_free", "adamw8bit", "lion8bit"])
def test_what_is_predicted_of_states_is_what_an_optimizer_holds(optimizer):
    model = Tiny(size="custom", width=128, depth=2, heads=2, feed_forward=256).build(512, 16, 0)
    schedule = ["lr_schedule=constant"] if optimizer == "schedule_free" else []
    config = compose_point([f"optimizer={optimizer}", *schedule])
    built = config.optimizer.build(model)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    built.step()
    held = sum(
        value.numel() * value.element_size()
        for states in built.state.values() for value in states.values() if isinstance(value, torch.Tensor)
    )  # fmt: skip
    ends = sum(weight.numel() for kind, weight in kinds(model) if kind == "embeddings")
    hidden = sum(weight.numel() for weight in model.parameters()) - ends
    predicted = config.optimizer.all_state_bytes(hidden, ends)
    if optimizer == "galore":  # its rank is full here, and the projection comes on top
        assert held < 1.6 * predicted
    else:
        assert held == pytest.approx(predicted, rel=0.1)


def test_sizes_are_readable():
    assert [readable(n) for n in (512, 1500, 84e9, 999.6e12)] == ["512 B", "1.5 kB", "84 GB", "1e+03 TB"]


def test_a_run_that_the_disk_cannot_hold_is_refused_before_training(study, tmp_path):
    overrides = [*study, f"runs={tmp_path}", "checkpoint.keep=1000000000000"]
    with pytest.raises(UserError, match=r"free, this run needs up to .* of checkpoints .* lower checkpoint\.keep"):
        train_point(compose_point(overrides), overrides, quiet=True)
    assert not list(tmp_path.glob("[!.]*"))


def test_a_checkpoint_is_not_begun_where_it_does_not_fit(tmp_path):
    free = free_bytes(tmp_path / "not" / "yet" / "there")
    check_space(tmp_path, free // 2 - MARGIN)
    with pytest.raises(NoSpaceError, match=r"it takes .* free"):
        check_space(tmp_path, free + (1 << 40))


def test_a_write_that_fails_is_told_and_the_checkpoint_before_stays_and_the_run_goes_on(study, tmp_path):
    overrides = [*study, "checkpoint.every_steps=2", "checkpoint.keep_finished=true"]
    whole = train_point(compose_point(overrides), [*overrides], quiet=True)
    # From step 6 on no file may grow past 20 kB, which a checkpoint of this model does: the kernel refuses the write.
    code = f"""
import resource
from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint import callback
from cptlab.training.run import train_point
write = callback.write_checkpoint
def limited(run, content, *rest):
    if content["step"] >= 6:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        return write(run, content, *rest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
callback.write_checkpoint = limited
print(train_point(compose_point({[*overrides, f"runs={tmp_path}"]!r}), [], quiet=True).status)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.stdout.strip() == "finished", ran.stderr
    assert "the checkpoint at step 6 could not be written (" in ran.stderr
    assert "the one at step 4 is as it was" in ran.stderr
    [folder] = tmp_path.glob("[!.]*")
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step_2", "step_4"]
    assert numbers(folder) == numbers(whole.folder)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert os.path.exists(whole.folder / "checkpoints" / "step_10")
