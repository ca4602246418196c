"""The same run on one process and on several, however the model lies on them: same losses, same decisions."""

import json
import re

import numpy as np
import pytest
from outside import ROOT

from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

# A rate and an eps at which rounding stays rounding. At twice the rate and Adam's usual eps the first updates throw the
# model about by the sign of gradients that are noise: one process that sums over two halves of its batch instead of the
# whole then moves a norm by 1.4e-5, eager attention by 2.8e-5; here all agree within 1e-6.
LEARNING = [
    "tokens=3200", "model.depth=2", "optimizer.peak_lr=5e-3", "optimizer.eps=1e-6", "optimizer.clip=0.05",
    "replay=adaptive_gradnorm", "mixture=domain_only",
]  # fmt: skip


def curves(runs):
    """{strategy and tensor_parallel: (losses of all domains and steps, gradient norms of replay's decisions,
    sums and counts of training losses)}."""
    found = {}
    for folder in runs.glob("*/"):
        if not (folder / "run.json").exists():
            continue
        machine = json.loads((folder / "run.json").read_text())["config"]["machine"]
        rows = read_rows(folder)
        losses = np.array([row["loss_sum"] / row["num_tokens"] for row in rows])
        trained = np.array([(row["train_loss_sum"], row["train_num_tokens"]) for row in rows])
        decisions = [json.loads(line) for line in (folder / "replay.jsonl").read_text().splitlines()]
        norms = [d["gradient_norm"] for d in decisions]
        found[machine["strategy"], machine["tensor_parallel"]] = losses, norms, trained
    return found


@pytest.fixture(scope="module")
def alone(study, tmp_path_factory):
    """Fifty steps on one process."""
    runs = tmp_path_factory.mktemp("alone")
    overrides = [*study, *LEARNING, f"runs={runs}"]
    assert train_point(compose_point(overrides), overrides, quiet=True).status == "finished"
    losses, norms, trained = curves(runs)["single", 1]
    assert losses[0] - losses[-1] > 0.5  # it does train
    assert max(norms) > 0.05  # and gradients are clipped
    assert trained[-1, 1] > 0
    return losses, norms, trained


def assert_equal(found, alone):
    for losses, norms, trained in found.values():
        assert np.abs(losses - alone[0]).max() < 1e-5
        assert norms == pytest.approx(alone[1], rel=1e-5)
        np.testing.assert_array_equal(trained[:, 1], alone[2][:, 1])
        np.testing.assert_allclose(trained[:, 0], alone[2][:, 0], rtol=1e-5)


def test_the_page_names_the_setting_that_its_figure_is_true_of():
    page = (ROOT / "docs" / "cluster.md").read_text("utf8").split("|")[0]
    assert "fifty steps" in page
    assert "in fp32" in page
    assert "within 1e-5" in page
    assert [each for each in LEARNING if "peak_lr" in each or "eps" in each] == re.findall(r"`(optimizer\.\S+)`", page)


@pytest.mark.slow
def test_replicas_and_shards_have_the_losses_of_one_process_over_fifty_steps(study, alone, torchrun, tmp_path):
    output = torchrun(
        2, ROOT / "train.py", "-m", *study, *LEARNING, f"runs={tmp_path}", "machine=cpu_2", "machine.micro_rows=1",
        "machine.strategy=ddp,fsdp,hsdp",
    )  # fmt: skip
    found = curves(tmp_path)
    assert set(found) == {("ddp", 1), ("fsdp", 1), ("hsdp", 1)}
    assert_equal(found, alone)
    assert output.count("finished") == 3  # one process of the two speaks


@pytest.mark.slow
def test_split_matrices_and_recomputed_activations_have_them_too(study, alone, together, tmp_path):
    together(
        2, "-m", *study, *LEARNING, f"runs={tmp_path}", "machine=cpu_2", "machine.strategy=fsdp",
        "machine.tensor_parallel=1,2", "machine.activation_checkpointing=selective",
    )  # fmt: skip
    found = curves(tmp_path)
    assert set(found) == {("fsdp", 1), ("fsdp", 2)}
    assert_equal(found, alone)


@pytest.mark.slow
def test_two_nodes_that_replicate_shards_have_them_too(study, alone, torchrun, tmp_path):
    torchrun(
        1, ROOT / "train.py", *study, *LEARNING, f"runs={tmp_path}", "machine=hsdp", "machine.accelerator=cpu",
        "machine.devices=1", "machine.threads=1", nodes=2,
    )  # fmt: skip
    found = curves(tmp_path)
    assert set(found) == {("hsdp", 1)}
    assert_equal(found, alone)
