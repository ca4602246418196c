"""Out of memory answers with what took the memory and what to change."""

import json

import pytest
import torch

from cptlab.sweeps.preflight import compose_point
from cptlab.training.parallel.memory import estimate, is_out_of_memory, out_of_memory
from cptlab.training.run import train_point

BIG = ["machine=gpu_1", "rows_per_step=32", "data.sequence_length=4096"]


class Llama8B:
    hidden_size, num_hidden_layers = 4096, 32


def test_the_estimate_is_that_of_the_arithmetic():
    config = compose_point([*BIG, "tokens=1e6"])
    got = estimate(config, 8_000_000_000, 4096, 32)
    assert got == {
        "weights": 32e9, "gradients": 32e9, "optimizer states": 64e9, "activations": 32 * 4096 * 4096 * 32 * 34,
    }  # fmt: skip
    sharded = compose_point(["machine=fsdp", *BIG[1:], "tokens=1e6", "machine.micro_rows=1",
                             "machine.activation_checkpointing=full"])  # fmt: skip
    got = estimate(sharded, 8_000_000_000, 4096, 32)
    assert got == {
        "weights": 4e9, "gradients": 4e9, "optimizer states": 8e9, "activations": 4096 * 4096 * (34 + 31 * 2),
    }  # fmt: skip


def test_the_largest_consumer_comes_first_and_three_settings_follow():
    config = compose_point([*BIG, "tokens=1e6"])
    sentence = out_of_memory(config, 8_000_000_000, Llama8B)
    assert sentence.startswith("out of memory; estimated for one process: activations 584 GB, optimizer states 64 GB")
    assert sentence.endswith("Try machine.micro_rows=16, machine.activation_checkpointing=full, machine=fsdp")
    small = compose_point([*BIG, "tokens=1e6", "machine.micro_rows=1", "machine.activation_checkpointing=full"])
    assert out_of_memory(small, 8_000_000_000, Llama8B).split("Try ")[1].startswith("machine=fsdp, optimizer=adamw8bit")


def test_a_run_that_finds_no_memory_is_recorded_with_that_sentence(study, tmp_path, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("cptlab.training.module.CPTModule.training_step", no_memory)
    overrides = [*study, f"runs={tmp_path}"]
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("out of memory; estimated for one process: ")
    assert outcome.reason.endswith("Try machine.micro_rows=2, machine.activation_checkpointing=full, machine=fsdp")
    assert json.loads((outcome.folder / "done.json").read_text())["reason"] == outcome.reason


@pytest.mark.parametrize("adapter", ["none", "lora", "dora", "qlora"])
@pytest.mark.parametrize("where", ["cptlab.training.attempt.build_model", "apply"])
def test_a_model_that_finds_no_memory_while_it_is_built_is_recorded_alike(study, tmp_path, monkeypatch, adapter, where):
    overrides = [*study, f"runs={tmp_path}", f"adapter={adapter}"]
    config = compose_point(overrides)
    whole = train_point(compose_point([*overrides, "tokens=64"]), overrides, quiet=True)
    with monkeypatch.context() as patch:
        if where == "apply":
            kind, tried = type(config.adapter), []
            apply = kind.apply

            def once(self, model):
                if tried:
                    return apply(self, model)
                tried.append(True)
                return torch.empty(1 << 60)

            patch.setattr(kind, "apply", once)
        else:
            patch.setattr(where, lambda *_: torch.empty(1 << 60))
        outcome = train_point(config, overrides, quiet=True)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("out of memory; estimated for one process: ")
    done = json.loads((outcome.folder / "done.json").read_text())
    assert (done["status"], done["reason"], done["attempt"]) == ("failed", outcome.reason, 1)
    facts, others = (json.loads((run.folder / "run.json").read_text()) for run in (outcome, whole))
    for name in ("num_params_nonembed", "num_params_total", "num_params_trainable", "resolved", "corpora"):
        assert facts[name] == others[name], name
    assert train_point(compose_point(overrides), overrides, quiet=True).status == "finished"


def test_what_a_cpu_says_without_memory_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
