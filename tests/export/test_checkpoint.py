"""Exports of checkpoints: the weights are those of a run that ended there."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from cptlab.cli import main
from cptlab.errors import UserError
from cptlab.export.folder import export
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

KEPT = [
    "checkpoint.every_steps=4",
    "checkpoint.keep=3",
    "checkpoint.keep_finished=true",
]  # of ten steps: at 4, 8 and the end


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


@pytest.fixture(scope="module")
def kept(study, tmp_path_factory):
    return train([*study, *KEPT, f"runs={tmp_path_factory.mktemp('kept')}"])


@pytest.fixture
def run(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / kept.name)


@pytest.mark.parametrize(
    "chosen",
    [
        [],
        ["checkpoint.kind=sharded"],
        ["adapter=lora", "adapter.rank=2"],
        ["adapter=lora", "adapter.rank=2", "adapter.init=pissa", "checkpoint.kind=sharded"],
        ["adapter=dora", "adapter.rank=2", "adapter.train_embeddings=true"],
        ["optimizer=schedule_free"],
    ],
    ids=" ".join,
)
def test_a_checkpoint_gives_the_weights_of_a_run_that_ended_there(study, tmp_path, chosen):
    overrides = [*study, *chosen, "optimizer.peak_lr=1e-2"]
    longer = train([*overrides, *KEPT, f"runs={tmp_path / 'longer'}"])
    ended = train([*overrides, "tokens=512", f"runs={tmp_path / 'ended'}"])  # eight steps
    done = export(longer, step="8")
    assert done.folder == longer / "export_step_8"
    ours, theirs, last = (load_file(f / "model.safetensors") for f in (done.folder, ended / "model", longer / "model"))
    # Averages are put in place and taken out for each evaluation, and those of the two runs lie elsewhere.
    bound = 1e-6 if "optimizer=schedule_free" in chosen else 0.0
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) <= bound
    assert max(float((ours[name] - last[name]).abs().max()) for name in theirs) > 1e-3
    assert done.reloaded.exact
    assert "step 8, 512 tokens: not the end" in (done.folder / "README.md").read_text()


@pytest.mark.slow
def test_shards_of_two_processes_are_exported_by_one(study, tmp_path):
    overrides = [*study, "optimizer.peak_lr=1e-2"]
    sharded = train([*overrides, *KEPT, f"runs={tmp_path / 'two'}", "machine=cpu_2", "machine.strategy=fsdp"])
    assert json.loads((sharded / "checkpoints/step_8/state.json").read_text())["kind"] == "sharded"
    ended = train([*overrides, "tokens=512", f"runs={tmp_path / 'one'}"])
    ours, theirs = (load_file(f / "model.safetensors") for f in (export(sharded, step="8").folder, ended / "model"))
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)


def test_a_run_that_goes_on_is_exported_from_its_newest_whole_checkpoint(run, capsys):
    (run / "done.json").unlink()
    shutil.rmtree(run / "model")
    for step in (8, 10):
        (run / f"checkpoints/step_{step}/complete.json").unlink()
    with pytest.raises(UserError, match="or export a checkpoint of it with --step latest"):
        export(run)
    with pytest.raises(SystemExit) as exit:
        main(["export", str(run), "--step", "latest"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith(f"{run / 'export_step_4'}: fp32 weights")
    card = (run / "export_step_4/README.md").read_text()
    assert "step 4, 256 tokens: not the end" in card
    assert not list(run.glob(".export*"))


def no_checkpoint(run):
    shutil.rmtree(run / "checkpoints")


def cut(run):
    (run / "checkpoints/step_8/tensors.pt").write_bytes(b"")


def without_tokenizer(run):
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["data"]["cache_dir"] = str(run / "nowhere")
    (run / "run.json").write_text(json.dumps(facts))
    shutil.rmtree(run / "model")


def of_another_model(run):
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["adapter"] = {"variant": "lora", "rank": 2}
    (run / "run.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("harm", "step", "sentence"),
    [
        (no_checkpoint, "latest", "holds no checkpoint (a finished run drops them"),
        (cut, "8", "cannot be used: tensors.pt has not its recorded size; there are those of 4, 8, 10"),
        (without_tokenizer, "8", "is neither with its base nor in"),
        (of_another_model, "8", "keeps other weights than the run's model has"),
        (lambda run: None, "7", "holds no checkpoint of step 7; there are those of 4, 8, 10"),
        (lambda run: None, "last", "--step is last; give a number of steps, or latest"),
    ],
)
def test_a_checkpoint_that_cannot_be_exported_is_refused(run, harm, step, sentence, capsys):
    harm(run)
    with pytest.raises(SystemExit) as exit:
        main(["export", str(run), "--step", step])
    assert exit.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert not list(run.glob("*export*"))
