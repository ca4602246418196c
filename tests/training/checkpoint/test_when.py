"""When a checkpoint is written, what of it stays, and what a lost file of the record costs."""

import pytest
from started_runs import done, forget_end, numbers

from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint.folder import kept, remove_all, step_of
from cptlab.training.checkpoint.rng import rng_state, set_rng_state
from cptlab.training.checkpoint.tree import join, num_bytes, split
from cptlab.training.run import train_point


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


def test_a_short_run_writes_none_but_that_of_its_end(study, tmp_path):
    run = train([*study, f"runs={tmp_path}", "checkpoint.keep_finished=true"])
    assert [step_of(path) for path in kept(run)] == [10]
    assert not (train([*study, f"runs={tmp_path}", "seed=1"]) / "checkpoints").exists()


def test_the_clock_alone_makes_it_due(study, tmp_path):
    overrides = [*study, f"runs={tmp_path}", "checkpoint.keep_finished=true", "checkpoint.every_minutes=1e-6"]
    run = train([*overrides, "checkpoint.keep=3"])
    assert [step_of(path) for path in kept(run)] == [10, 9, 8]


def test_decisions_that_the_record_lost_come_back_with_the_checkpoint(study, tmp_path):
    overrides = [*study, f"runs={tmp_path}", "tokens=3840", "mixture=ucb", "mixture.interval=0.2",
                 "replay=adaptive", "replay.interval=0.2", "checkpoint.every_steps=25", "checkpoint.keep_finished=true"]  # fmt: skip
    run = train(overrides)
    whole = numbers(run), (run / "mixture.jsonl").read_text(), (run / "replay.jsonl").read_text()
    forget_end(run)
    for name in ("mixture.jsonl", "replay.jsonl"):
        (run / name).unlink()
    assert train(overrides) == run
    assert done(run)["of_attempt"]["from_step"] == 50
    assert (numbers(run), (run / "mixture.jsonl").read_text(), (run / "replay.jsonl").read_text()) == whole


def test_a_checkpoint_before_the_first_decision_keeps_the_losses_it_compares_with(study, tmp_path):
    overrides = [*study, f"runs={tmp_path}", "tokens=3840", "mixture=ucb", "mixture.interval=0.5",
                 "replay=adaptive", "replay.interval=0.5", "checkpoint.every_steps=7", "checkpoint.keep=9",
                 "checkpoint.keep_finished=true"]  # fmt: skip
    run = train(overrides)
    whole = numbers(run), (run / "mixture.jsonl").read_text(), (run / "replay.jsonl").read_text()
    for name in ("done.json", "mixture.jsonl", "replay.jsonl"):
        (run / name).unlink()
    for path in kept(run):
        if step_of(path) > 7:
            (path / "complete.json").unlink()
    assert train(overrides) == run
    assert done(run)["of_attempt"]["from_step"] == 7
    assert (numbers(run), (run / "mixture.jsonl").read_text(), (run / "replay.jsonl").read_text()) == whole
    remove_all(run)
    assert kept(run) == []


def test_a_model_that_draws_random_numbers_goes_on_with_the_same_ones(study, tmp_path):
    import torch

    from cptlab.models.tiny import Tiny

    build = Tiny.build

    def with_dropout(self, *arguments):
        model = build(self, *arguments)
        for layer in model.model.layers:
            layer.mlp.down_proj.register_forward_hook(
                lambda module, _, out: torch.nn.functional.dropout(out, 0.3, module.training)
            )
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tiny, "build", with_dropout)
        overrides = [*study, f"runs={tmp_path}", "tokens=1280", "checkpoint.every_steps=9",
                     "checkpoint.keep_finished=true"]  # fmt: skip
        run = train(overrides)
        whole = numbers(run)
        forget_end(run)
        torch.manual_seed(99)
        train(overrides)
    assert done(run)["of_attempt"]["from_step"] == 18
    assert numbers(run) == whole


def test_random_generators_go_on_where_they_were_taken():
    import random

    import numpy as np
    import torch

    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.gauss() for _ in range(3)]  # noqa: NPY002

    draw()
    state = rng_state()
    first = draw()
    set_rng_state(state)
    assert draw() == first


def test_a_state_splits_into_json_and_tensors_and_joins_again():
    import torch

    tree = {
        "state": {"w": {"m": torch.ones(2), "step": torch.tensor(3.0)}},
        "groups": [{"betas": (0.9, 0.95), "on": None}],
    }
    plain, tensors = split(tree, "o")
    assert sorted(tensors) == ["o/state/w/m", "o/state/w/step"]
    assert num_bytes(tensors) == 12
    again = join(plain, tensors)
    assert again["groups"] == [{"betas": (0.9, 0.95), "on": None}]
    assert again["state"]["w"]["m"] is tree["state"]["w"]["m"]
    with pytest.raises(TypeError, match="o/x is a set; a checkpoint keeps tensors, numbers and text alone"):
        split({"x": set()}, "o")


@pytest.mark.parametrize(
    "choice", ["optimizer=muon", "optimizer=schedule_free", "optimizer=adamw8bit", "optimizer=galore", "adapter=lora"]
)
def test_every_optimizer_and_an_adapter_go_on_exactly(study, tmp_path, choice):
    overrides = [*study, f"runs={tmp_path}", choice, "checkpoint.every_steps=4", "checkpoint.keep_finished=true"]
    if choice.startswith("adapter"):
        base = train([*study, f"runs={tmp_path}", "mixture=general_only"])
        overrides += [f"model.base_run={base}"]
    run = train(overrides)
    whole = numbers(run)
    forget_end(run)
    train(overrides)
    assert done(run)["of_attempt"]["from_step"] == 8
    assert numbers(run) == whole
