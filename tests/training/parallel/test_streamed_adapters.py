"""LoRA under FSDP: the base is built without memory and streamed; the adapters are those of one process."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cptlab.adapters.dora import DoRA
from cptlab.adapters.lora import LoRA
from cptlab.adapters.none import NoAdapter
from cptlab.models.pretrained import Pretrained
from cptlab.models.tiny import Tiny
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import build_model
from cptlab.training.machine import Machine
from cptlab.training.parallel.streaming import names_in_files
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[3]
FSDP = Machine(devices=2, strategy="fsdp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    Tiny(size="30k").build(50, 16, 0).save_pretrained(folder)
    return folder


def built(folder, adapter, machine):
    """As an attempt builds it."""
    config = SimpleNamespace(model=Pretrained(path=str(folder)), machine=machine, adapter=adapter, seed=0,
                             data=SimpleNamespace(sequence_length=16))  # fmt: skip
    torch.manual_seed(0)
    return adapter.apply(build_model(SimpleNamespace(config=config, corpora=SimpleNamespace(vocab_size=50, eos_id=0))))


@pytest.mark.parametrize("init", ["default", "gaussian", "orthogonal"])
def test_adapters_beside_a_base_without_memory_have_the_numbers_of_those_beside_weights(folder, init):
    adapter = LoRA(rank=4, init=init, targets=["q_proj", "down_proj"])
    whole, streamed = built(folder, adapter, Machine()), built(folder, adapter, FSDP)
    real = dict(whole.named_parameters())
    for name, parameter in streamed.named_parameters():
        assert parameter.is_meta != ("lora" in name)
        assert parameter.requires_grad == real[name].requires_grad == ("lora" in name)
        if "lora" in name:
            assert torch.equal(parameter, real[name])
    names = names_in_files(streamed, folder)
    assert names["model.layers.0.self_attn.q_proj.base_layer.weight"] == "model.layers.0.self_attn.q_proj.weight"
    assert names.keys() == {name for name in real if "lora" not in name}


@pytest.mark.parametrize(
    ("adapter", "without_memory"),
    [(NoAdapter(), True), (LoRA(), True), (LoRA(init="pissa"), False), (LoRA(init="olora"), False), (DoRA(), False)],
)
def test_only_what_starts_from_the_weights_is_built_with_them(folder, adapter, without_memory):
    assert next(built(folder, adapter, FSDP).parameters()).is_meta == without_memory


@pytest.mark.slow
def test_two_processes_train_lora_as_one_does(study, torchrun, tmp_path):
    base = train_point(compose_point([*study, f"runs={tmp_path}/base"]), [], quiet=True).folder
    more = [*study, f"model.base_run={base}", "adapter=lora", "adapter.rank=2", "optimizer.peak_lr=1e-2"]
    alone = train_point(compose_point([*more, f"runs={tmp_path}/one"]), more, quiet=True).folder
    torchrun(2, ROOT / "train.py", *more, f"runs={tmp_path}/two", "machine=cpu_2", "machine.strategy=fsdp")
    shared = next(file.parent for file in (tmp_path / "two").glob("*/run.json"))
    facts = [json.loads((folder / "run.json").read_text()) for folder in (alone, shared)]
    assert facts[0]["num_params_trainable"] == facts[1]["num_params_trainable"] > 0
    losses = [
        np.array([row["loss_sum"] / row["num_tokens"] for row in read_rows(folder)]) for folder in (alone, shared)
    ]
    assert np.abs(losses[0] - losses[1]).max() < 1e-5
    assert np.abs(losses[0][-2:] - losses[0][:2]).max() > 1e-3  # it does train
    first, second, start = (
        load_file(folder / "model" / "model.safetensors") for folder in (alone, shared, base)
    )  # fmt: skip
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=2e-5)
    assert any(not torch.equal(first[name], start[name]) for name in first)
