"""Optimizers over DTensors: two gloo processes under FSDP2 do what one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from known_model import EVERY, llama, loss_of, one_weight, steps
from optimizer_ranks import ADAPTERS, LARGE

from cptlab.optimizers.clipping import clip_gradients

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_ranks")
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "optimizer_ranks.py"), str(rank), str(folder)], env=os.environ | {"PYTHONPATH": paths},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=300)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], errors[0][-3000:]
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.mark.parametrize(
    ("name", "alone", "kind", "of_loss", "of_way"),
    [
        ("adamw", "adamw", "AdamW", 1e-5, 1e-4),
        ("muon", "muon", "Pair", 1e-3, 0.1),  # Newton-Schulz sums in bf16, so the order of summing shows
        ("schedule_free", "schedule_free", "AdamWScheduleFree", 1e-5, 1e-4),
        ("adamw8bit", "adamw8bit_torchao", "EightBitAdamW", 1e-4, 5e-3),  # smaller parts keep fp32 states
    ],
)
def test_two_ranks_train_as_one(found, name, alone, kind, of_loss, of_way):
    variant, model = EVERY[alone], llama()
    losses = steps(model, variant.build(model), variant, 6)
    assert found[name]["kind"] == kind
    torch.testing.assert_close(torch.tensor(found[name]["losses"]), torch.tensor(losses), rtol=0, atol=of_loss)
    assert losses[-1] < losses[0] - 0.2
    start = llama().state_dict()
    for key, value in model.state_dict().items():  # differences over the way that a weight went
        assert (found[name]["weights"][key] - value).norm() < of_way * (value - start[key]).norm(), key


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapted_model_trains_on_two_ranks_as_on_one(found, name):
    torch.manual_seed(0)
    model = ADAPTERS[name].apply(llama())
    losses = steps(model, LARGE.build(model), LARGE, 4)
    torch.testing.assert_close(torch.tensor(found[name]), torch.tensor(losses), rtol=0, atol=1e-5)
    assert losses[-1] < losses[0]


def test_the_norm_of_sharded_gradients_is_that_of_the_whole(found):
    model, (extra, gradient) = llama("30k"), one_weight(3, 4)
    loss_of(model).backward()
    extra.weight.grad = gradient
    whole = clip_gradients([*model.parameters(), extra.weight], 0.0)
    assert found["clipped"]["plain"]
    torch.testing.assert_close(found["clipped"]["before"], whole, rtol=1e-5, atol=0)
    torch.testing.assert_close(found["clipped"]["after"], torch.tensor(0.5), rtol=1e-5, atol=0)
