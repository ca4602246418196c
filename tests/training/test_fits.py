"""Model, tokenizer, machine and adapter that do not go together are refused for a whole grid before any point starts."""

import json
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.sweeps.preflight import check_points, compose_point
from cptlab.training import fits
from cptlab.training.machine import Machine
from cptlab.training.parallel.fp8 import check_pass
from cptlab.training.run import train_point

FSDP = ["machine=cpu_2", "machine.strategy=fsdp"]


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    """A run of the study, with its weights and tokenizer."""
    runs = tmp_path_factory.mktemp("base")
    return train_point(compose_point([*study, f"runs={runs}"]), [], quiet=True).folder


def pretrained(study, folder):
    return [o for o in study if not o.startswith("model.")] + ["model=pretrained", f"model.path={folder}"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["adapter=lora", "adapter.targets=[q_porj]"], r"adapter\.targets names q_porj.*Did you mean q_proj"),
        (["adapter=qlora", "adapter.targets=[lm_head]"], r"adapter\.targets names lm_head"),
        ([*FSDP, "machine.tensor_parallel=2", "model.heads=1"], r"does not divide self_attn\.q_proj \(1 heads\)"),
        ([*FSDP, "machine.tensor_parallel=2", "model.feed_forward=15"], r"mlp\.gate_proj \(15 columns\)"),
        ([*FSDP, "machine.tensor_parallel=3"], r"tensor_parallel=3 needs .* a number of processes that it divides"),
        (
            [*FSDP, "machine.tensor_parallel=2", "machine.accelerator=gpu", "machine.precision=fp8"],
            "fp8 does not go with",
        ),
        (["machine.attention=flash_attention_2"], "it needs a GPU.*auto would take sdpa"),
        (["machine.accelerator=gpu", "machine.attention=varlen", "machine.precision=fp32"], "computes in bf16 or fp16"),
        (["machine.precision=fp8"], "needs a GPU of compute capability 8.9"),
        (["machine=cpu_2", "rows_per_step=5"], "rows_per_step is 5, which 2 processes cannot share evenly"),
        (["machine=cpu_2", "machine.micro_rows=3"], "micro_rows is 3 but a process has 2 rows of the 4 a step"),
        ([*FSDP, "optimizer=adamw8bit", "optimizer.library=bitsandbytes"], "use optimizer.library=torchao"),
        ([*FSDP, "adapter=qlora"], "adapter=qlora cannot shard its 4-bit base"),
    ],
)
def test_a_point_that_cannot_work_stops_the_grid_before_its_first(study, tmp_path, more, sentence):
    points = [[*study, f"runs={tmp_path}/runs"], [*study, f"runs={tmp_path}/runs", *more]]
    with pytest.raises(UserError, match=sentence) as refused:
        check_points(points)
    assert f"(point 2 of 2: {' '.join(more)}); nothing was started" in str(refused.value)
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_vocabulary_larger_than_the_embedding_is_refused_before_a_corpus_is_built(study, base, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (base / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    tokens = config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": tokens - 10}))
    points = [[*pretrained(study, folder), f"data.cache_dir={tmp_path}/cache"]]
    with pytest.raises(
        UserError, match=f"tokenizer has {tokens} tokens but the model in .* embeds {tokens - 10}; its config.json and"
    ):
        check_points(points)
    assert not (tmp_path / "cache").exists()


def test_rows_longer_than_the_base_takes_are_refused(study, base):
    with pytest.raises(UserError, match=r"data\.sequence_length is 32; the model in .* takes at most 16"):
        check_points([[*pretrained(study, base), "data.sequence_length=32"]])


def test_names_of_layers_come_from_an_architecture_without_weights(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state = torch.random.get_rng_state()
    for model in (fits.skeleton(Tiny(size="30k"), None, 16), fits.skeleton(Tiny(size="30k"), tmp_path, 16)):
        assert all(parameter.is_meta for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    config: Any = SimpleNamespace(model=Tiny(), adapter=compose_point([]).adapter, machine=Machine(devices=2, strategy="fsdp",
                             tensor_parallel=2), data=SimpleNamespace(sequence_length=16))  # fmt: skip
    with pytest.raises(UserError, match="Llama-like blocks only"):
        fits.check_layers(config, tmp_path)


def test_a_flash_package_that_is_absent_is_named_without_running_a_kernel(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(
        "cptlab.training.attention.choice.kernel_fails", lambda name: pytest.fail("a kernel was run ahead of training")
    )
    gpu = Machine(accelerator="gpu", attention="flash_attention_3")
    with pytest.raises(UserError, match=r"flash-attn 3 is not installed \(build.*auto would take (varlen|flex|sdpa)"):
        fits.check_machine(gpu, "llama", here=True)
    with pytest.raises(UserError, match="gemma2 needs eager"):
        fits.check_machine(Machine(accelerator="gpu", attention="sdpa"), "gemma2", here=True)
    assert fits.check_machine(gpu, "llama", here=False) is None


@pytest.mark.parametrize(
    ("rows", "micro_rows", "length", "refused"),
    [(4, 0, 4096, 0), (4, 0, 100, 0), (3, 0, 100, 300), (4, 3, 100, 300), (5, 4, 8, 8), (6, 4, 8, 0)],
)
def test_passes_that_fp8_cannot_sum_over_are_refused(rows, micro_rows, length, refused):
    machine = Machine(accelerator="gpu", precision="fp8", micro_rows=micro_rows)
    if refused:
        with pytest.raises(UserError, match=rf"has {refused}: make the length a multiple of 16, or"):
            check_pass(machine, rows, length)
    else:
        check_pass(machine, rows, length)
    check_pass(Machine(), 1, 7)  # only fp8 asks


def test_a_gpu_without_fp8_units_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A100")
    with pytest.raises(UserError, match=r"capability 8\.9 or more; A100 has 8\.0: use machine\.precision=bf16"):
        fits.check_machine(Machine(accelerator="gpu", precision="fp8"), "llama", here=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_jobs_for_gpus_are_handed_in_where_there_are_none(study):
    gpu = [*study, "machine=gpu_1"]
    with pytest.raises(UserError, match="torch sees none"):
        check_points([gpu])
    assert len(check_points([[*gpu, "hydra/launcher=slurm"]])) == 1


def test_five_hundred_points_are_looked_at_once_each_distinct_kind(study, monkeypatch):
    seen = []
    real = fits.check_layers
    monkeypatch.setattr("cptlab.training.point.check_layers", lambda *given: seen.append(1) or real(*given))
    points = [[*study, "adapter=lora", f"adapter.rank={2 + i % 2}", f"seed={i}"] for i in range(100)]
    started = time.process_time()
    assert len({point.run_id for point in check_points(points)}) == 100
    assert len(seen) == 2
    assert time.process_time() - started < 12  # 500 in a minute


def test_looking_ahead_loads_torch_for_names_of_layers_and_gpus_alone(study):
    code = (
        "import sys\nfrom cptlab.sweeps.preflight import check_points\n"
        f"check_points([{study!r}, {[*study, 'seed=1', 'machine=cpu_2']!r}])\nprint('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout.splitlines()[-1] == "False", told.stderr


def test_every_key_of_a_machine_is_on_the_cluster_page():
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    missing = [field.name for field in fields(Machine) if f"`machine.{field.name}" not in page]
    assert not missing
