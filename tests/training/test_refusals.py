"""What a model, a machine or a tracker cannot do is one sentence before any training."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BloomConfig, BloomForCausalLM, GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.models.pretrained import Pretrained
from cptlab.models.tiny import Tiny
from cptlab.sweeps.preflight import compose_point
from cptlab.training.attention import refuse_leaking_documents
from cptlab.training.run import open_point, train_point


def small(make, config, **fields):
    torch.manual_seed(0)
    return make(config(vocab_size=50, **fields))


def test_models_that_keep_packed_documents_apart_pass():
    gpt2 = small(GPT2LMHeadModel, GPT2Config, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    for model in (Tiny(size="30k").build(50, 16, 0), gpt2):
        model.train()
        refuse_leaking_documents(model)
        assert model.training  # the probe leaves the model as it was


def test_a_model_that_takes_no_document_mask_is_refused():
    model = small(BloomForCausalLM, BloomConfig, hidden_size=16, n_layer=1, n_head=2)
    with pytest.raises(UserError, match="model type bloom"):
        refuse_leaking_documents(model)


def test_weights_that_lack_a_tensor_are_refused(tmp_path):
    Tiny(size="30k").build(50, 16, 0).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(next(name for name in tensors if "down_proj" in name))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack or misshape 1 tensors, .*down_proj"):
        Pretrained(path=str(tmp_path)).build(50, 16, 0)


def test_another_configuration_of_the_same_weights_is_another_run(study, tmp_path):
    base = train_point(compose_point([*study, f"runs={tmp_path}"]), [], quiet=True).folder / "model"
    other = shutil.copytree(base, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["rms_norm_eps"] = 0.5
    (other / "config.json").write_text(json.dumps(config))
    plain = [o for o in study if not o.startswith("model.")]
    ids = [
        open_point(compose_point([*plain, "model=pretrained", f"model.path={path}"])).run_id for path in (base, other)
    ]
    assert ids[0] != ids[1]


def test_a_base_that_kept_no_model_says_so(study, tmp_path):
    base = train_point(compose_point([*study, f"runs={tmp_path}", "save_model=false"]), [], quiet=True).folder
    with pytest.raises(UserError, match="kept no model; train it with save_model=true"):
        open_point(compose_point([*study, f"model.base_run={base}"]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(study, tmp_path):
    with pytest.raises(UserError, match=r"machine\.accelerator is gpu but torch sees none"):
        train_point(compose_point([*study, f"runs={tmp_path}", "machine=gpu_1"]), [], quiet=True)
    assert not list(tmp_path.glob("*/run.json"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("tokens=nan", "tokens is nan; it must be a finite number"),
        ("evaluation.spacing=inf", "evaluation.spacing is inf"),
        ("seed=-1", "seed is -1"),
        ("optimizer.eps=0", "optimizer.eps is 0.0"),
        ("model=pretrained model.size=30k", "model.size is a key of model=tiny only"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(override, sentence):
    with pytest.raises(UserError, match=sentence):
        compose_point(override.split())
