"""Pretrained weights reach the shards without any process ever holding the whole model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.training.parallel.streaming import build_on_meta, header_shapes, names_in_files

MB = 1_000_000


def tensors(folder):
    return {name: t for file in folder.glob("*.safetensors") for name, t in load_file(file).items()}


def test_two_processes_stream_and_save_a_model_that_neither_ever_holds(tmp_path, torchrun, monkeypatch):
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=1000, hidden_size=512, intermediate_size=1408, num_hidden_layers=17,
                         num_attention_heads=8, tie_word_embeddings=True)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base", max_shard_size="50MB")
    whole = sum(t.numel() * 4 for t in tensors(tmp_path / "base").values())
    assert whole > 200 * MB
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 3
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "100000")  # else the allocator keeps blocks that are freed
    torchrun(2, Path(__file__).with_name("stream_worker.py"), str(tmp_path / "base"), str(tmp_path / "saved"))
    reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    for report in reports:
        assert report["tied"]
        assert report["whole"] > 0.9 * whole  # the measure sees a whole model where there is one
        assert report["local"] < 0.51 * whole
        assert report["stream"] < report["local"] + 80 * MB < whole  # its shards and the blocks that are computed
    assert reports[0]["save"] < 40 * MB + 40 * MB  # one file and the tensor that is gathered
    assert reports[1]["save"] < 40 * MB
    saved, base = tensors(tmp_path / "saved"), tensors(tmp_path / "base")
    assert saved.keys() == base.keys()
    assert all(torch.equal(saved[name], base[name]) for name in base)
    again = LlamaForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.lm_head.weight, base["model.embed_tokens.weight"])


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_on_meta_has_the_names_shapes_and_buffers_of_the_real_one(tmp_path, tied):
    real = Tiny(size="30k").build(50, 16, 0)
    if not tied:
        real.config.tie_word_embeddings = False
        real.lm_head.weight = torch.nn.Parameter(real.lm_head.weight.detach().clone())
    real.save_pretrained(tmp_path)
    model = build_on_meta(tmp_path, 50, 16)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    shapes = {name: p.shape for name, p in real.named_parameters()}
    assert {name: p.shape for name, p in model.named_parameters()} == shapes
    for name, buffer in real.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer)
    assert set(names_in_files(model, tmp_path)) == set(shapes)


def test_files_that_leave_out_the_prefix_are_found(tmp_path):
    """As those of gpt2 on the hub: `wte.weight`, not `transformer.wte.weight`."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    model.config.save_pretrained(tmp_path)
    bare = {name.removeprefix("transformer."): t.contiguous() for name, t in model.transformer.state_dict().items()}
    save_file(bare, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = names_in_files(build_on_meta(tmp_path, 50, 16), tmp_path)
    assert found["transformer.wte.weight"] == "wte.weight"
    assert set(found.values()) <= header_shapes(tmp_path).keys()


def test_files_that_lack_a_tensor_are_refused_with_its_name(tmp_path):
    model = Tiny(size="30k").build(50, 16, 0)
    model.save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    del kept["model.norm.weight"]
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"hold no tensor model.norm.weight of shape \(32,\)"):
        build_on_meta(tmp_path, 50, 16)
