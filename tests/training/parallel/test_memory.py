"""Out of memory answers with what took the memory and what to change."""

import json

import pytest
import torch

from cptlab.sweeps.preflight import compose_point
from cptlab.training.parallel.memory import Sizes, estimate, is_out_of_memory, out_of_memory
from cptlab.training.parallel.remedies import remedies
from cptlab.training.run import train_point

BIG = ["machine=gpu_1", "rows_per_step=32", "data.sequence_length=4096"]
EIGHT = Sizes(7_000_000_000, 1_000_000_000, 8_000_000_000, 4096, 32, 128_000)  # 8B, 1B of them embeddings and head
LORA = Sizes(7_000_000_000, 1_000_000_000, 40_000_000, 4096, 32, 128_000)
CHUNK = 2 * 2 * 2**29  # logits and their gradient, bf16
HEAD = 4 * 128_000 * 4096  # gradient of the head, fp32


class Llama8B:
    hidden_size, num_hidden_layers, vocab_size = 4096, 32, 128_000


class Facts:
    num_params_nonembed, num_params_total, num_params_trainable = 7_000_000_000, 8_000_000_000, 8_000_000_000


def composed(*overrides):
    return compose_point([*BIG, "tokens=1e6", *overrides])


def offered(config, facts=Facts):
    return out_of_memory(config, facts, Llama8B).split("Try ")[1]


@pytest.fixture
def gpus(monkeypatch):
    return lambda number: monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


def test_the_estimate_is_that_of_the_arithmetic():
    assert estimate(composed(), EIGHT) == {
        "weights": 32e9, "gradients": 32e9, "optimizer states": 64e9, "activations": 32 * 4096 * 4096 * 32 * 34,
        "logits": CHUNK + HEAD, "evaluation": 64 * 4096 * 4096 * 24,
    }  # fmt: skip
    sharded = compose_point(["machine=fsdp", *BIG[1:], "tokens=1e6", "machine.micro_rows=1",
                             "machine.activation_checkpointing=full"])  # fmt: skip
    assert estimate(sharded, EIGHT) == {
        "weights": 4e9, "gradients": 4e9, "optimizer states": 8e9, "activations": 4096 * 4096 * (34 + 31 * 2),
        "logits": 2 * 2 * 4096 * 128_000 + HEAD, "evaluation": 4096 * 4096 * 24,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("adapter", "weights"), [("lora", 4 * 8.04e9), ("dora", 4 * 8.04e9), ("qlora", 4.5 / 8 * 7e9 + 4 * 1.04e9)]
)
def test_with_an_adapter_the_base_has_no_gradients_and_no_states(adapter, weights):
    got = estimate(composed(f"adapter={adapter}"), LORA)
    assert got["weights"] == pytest.approx(weights)
    assert got["gradients"] == 4 * 40e6
    assert got["optimizer states"] == 8 * 40e6
    assert got["logits"] == CHUNK


@pytest.mark.parametrize(
    ("optimizer", "states"), [("muon", 4 * 7e9 + 8 * 1e9), ("lion8bit", 8e9), ("adamw8bit", 16e9), ("adamw", 64e9)]
)
def test_each_optimizer_counts_its_own_states(optimizer, states):
    assert estimate(composed(f"optimizer={optimizer}"), EIGHT)["optimizer states"] == states


def test_the_largest_consumer_comes_first_and_three_settings_follow(gpus):
    gpus(8)
    sentence = out_of_memory(composed(), Facts, Llama8B)
    assert sentence.startswith("out of memory; estimated for one process: activations 584 GB, optimizer states 64 GB")
    assert sentence.endswith("Try machine.micro_rows=16, machine.activation_checkpointing=full, machine=fsdp")
    small = composed("machine.micro_rows=1", "machine.activation_checkpointing=full")
    assert offered(small) == "machine=fsdp, optimizer=adamw8bit, adapter=lora"


def test_an_evaluation_that_is_the_largest_is_made_smaller_first():
    """64 rows a pass, 2 x 24 bytes x width a token in fp32, against a model of a few weights."""
    few = Sizes(10_000, 1_000, 11_000, 4096, 1, 64)
    tight = ["rows_per_step=1", "machine.activation_checkpointing=full", "data.sequence_length=4096", "tokens=1e6"]
    config = compose_point(tight)
    assert estimate(config, few)["evaluation"] == 2 * 24 * 64 * 4096 * 4096
    assert remedies(config, "evaluation", measuring=True)[0] == "evaluation.batch_rows=16"
    assert remedies(config, "weights", measuring=True)[0] == "evaluation.batch_rows=16"  # whatever is the largest
    assert not any("batch_rows" in each for each in remedies(config, "weights"))
    three = compose_point([*tight, "evaluation.batch_rows=3"])
    assert remedies(three, "evaluation", measuring=True)[0] == "evaluation.batch_rows=1"
    smaller = compose_point([*tight, "evaluation.batch_rows=1"])
    assert estimate(smaller, few)["evaluation"] == 2 * 24 * 4096 * 4096
    assert not any("batch_rows" in each for each in remedies(smaller, "evaluation", measuring=True))


def test_an_optimizer_without_an_update_has_no_states_to_name():
    assert "optimizer states" in out_of_memory(composed(), Facts, Llama8B, measuring=True)
    assert "optimizer states" not in out_of_memory(composed(), Facts, Llama8B, measuring=True, updated=False)


def test_shards_are_offered_for_the_gpus_that_are_here_and_share_the_rows(gpus):
    small = composed("machine.micro_rows=1", "machine.activation_checkpointing=full")
    gpus(1)
    assert offered(small).startswith("optimizer=adamw8bit")
    gpus(6)
    assert offered(small).startswith("machine=fsdp machine.devices=4,")
    gpus(8)
    sharded = ["machine=fsdp", *BIG[1:], "tokens=1e6", "machine.micro_rows=1",
               "machine.activation_checkpointing=full"]  # fmt: skip
    assert offered(compose_point([*sharded, "machine.devices=2"])).startswith("machine.devices=8, machine.offload=true")
    assert offered(compose_point(sharded)).startswith("machine.offload=true, optimizer=adamw8bit")


def test_nothing_is_offered_that_the_run_would_be_refused_with(gpus):
    gpus(8)
    tight = ["machine.micro_rows=1", "machine.activation_checkpointing=full"]
    qlora = offered(composed("adapter=qlora", *tight))
    assert qlora == "optimizer=adamw8bit, a shorter data.sequence_length, a smaller model"
    assert "fsdp" not in offered(composed("optimizer=lion8bit", *tight))
    on_cpu = compose_point(["rows_per_step=4", *tight])
    assert "fsdp" not in offered(on_cpu)
    assert "offload" not in offered(
        compose_point(["machine=cpu_2", "rows_per_step=4", "machine.strategy=fsdp", *tight])
    )
    free = offered(compose_point(["optimizer=schedule_free", "lr_schedule=constant", "rows_per_step=4", *tight]))
    assert free.startswith("optimizer=adamw8bit, adapter=lora")


def test_a_run_that_finds_no_memory_is_recorded_with_that_sentence(study, tmp_path, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("cptlab.training.module.CPTModule.training_step", no_memory)
    overrides = [*study, f"runs={tmp_path}"]
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("out of memory; estimated for one process: ")
    assert outcome.reason.endswith(
        "Try machine.micro_rows=2, machine.activation_checkpointing=full, optimizer=adamw8bit"
    )
    assert json.loads((outcome.folder / "done.json").read_text())["reason"] == outcome.reason


def test_an_evaluation_that_finds_no_memory_offers_a_shorter_pass_first(study, tmp_path, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("cptlab.training.module.CPTModule.forward", no_memory)  # asked by the evaluation before step 1
    overrides = [*study, f"runs={tmp_path}"]
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "failed"
    assert "evaluation " in outcome.reason
    assert "activations" not in outcome.reason
    assert "Try evaluation.batch_rows=16, machine.micro_rows=2, " in outcome.reason


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
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(ValueError("the buffer is out of memory addresses"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
