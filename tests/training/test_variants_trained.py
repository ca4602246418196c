"""Every optimizer and adapter through the whole trainer: a record, a loss that falls, a model that reloads."""

import json

import pytest

from cptlab.models.base import load_pretrained
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

OPTIMIZERS = ["adamw", "muon", "adamw8bit", "lion8bit", "galore", "schedule_free"]
ADAPTERS = ["lora", "dora", "qlora"]
LENGTH = ["tokens=1600", "mixture=domain_only"]  # 25 steps


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    facts = json.loads((outcome.folder / "run.json").read_text())
    rows = [row for row in read_rows(outcome.folder) if row["domain"] == "sums" and row["split"] == "fit"]
    losses = {row["step"]: row["loss_sum"] / row["num_tokens"] for row in rows}
    return outcome, facts, losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_and_is_in_the_record(study, tmp_path, optimizer):
    rate = 3e-3 if optimizer == "lion8bit" else 1e-2
    outcome, facts, losses = train([*study, *LENGTH, f"runs={tmp_path}", f"optimizer={optimizer}",
                                    f"optimizer.peak_lr={rate}"])  # fmt: skip
    assert losses[25] < losses[0] - 0.1
    assert facts["config"]["optimizer"]["variant"] == optimizer
    assert load_pretrained(outcome.folder / "model", 300, 16)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_trains_its_own_weights_and_saves_a_plain_model(study, tmp_path, adapter):
    base, _, _ = train([*study, f"runs={tmp_path}", "mixture=general_only"])
    outcome, facts, losses = train([*study, *LENGTH, f"runs={tmp_path}", f"model.base_run={base.folder}",
                                    f"adapter={adapter}", "adapter.rank=4", "optimizer.peak_lr=3e-2"])  # fmt: skip
    assert losses[25] < losses[0] - 0.02
    assert 0 < facts["num_params_trainable"] < facts["num_params_nonembed"]
    saved = load_pretrained(outcome.folder / "model", 300, 16)
    assert not [name for name, _ in saved.named_parameters() if "lora" in name]


@pytest.mark.parametrize("choice", [["optimizer=schedule_free"], ["adapter=lora", "adapter.rank=4"]])
def test_the_saved_model_has_the_losses_that_were_measured_last(study, tmp_path, choice):
    start, _, _ = train([*study, f"runs={tmp_path}", "mixture=general_only"])
    common = [*study, *LENGTH, f"runs={tmp_path}", "optimizer.peak_lr=1e-2"]
    first, _, losses = train([*common, f"model.base_run={start.folder}", *choice])
    _, _, again = train([*common, f"model.base_run={first.folder}"])
    assert losses[25] != pytest.approx(losses[0], rel=1e-3)
    assert again[0] == pytest.approx(losses[25], rel=1e-5)
