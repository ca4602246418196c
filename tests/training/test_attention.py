"""A backend in a model: installing it, and refusing models that it cannot do."""

import json

import pytest
import torch
from attention_models import DEVICE, choice_of, gpt2, llama, mistral
from transformers import BloomConfig, BloomForCausalLM, Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.training.attention import (
    ATTENTIONS,
    Choice,
    install,
    refuse_leaking_documents,
)
from cptlab.training.attention.install import NAMES


def test_no_name_of_ours_makes_transformers_look_for_kernels():
    assert set(NAMES) == set(ATTENTIONS) - {"auto"}
    assert not any("flash" in name for name in NAMES.values())


def test_the_installed_name_is_not_saved_with_the_model(tmp_path):
    model = llama()
    install(model, choice_of("sdpa"))
    assert model.config._attn_implementation == "cptlab_sdpa"
    model.save_pretrained(tmp_path)
    assert "cptlab" not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "llama"


def test_dropout_and_windows_that_a_backend_lacks_are_refused():
    dropped = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50))  # 0.1 by default
    with pytest.raises(UserError, match=r"flex has no dropout and the model has attn_pdrop 0\.1"):
        install(dropped, Choice("flex"))
    with pytest.raises(UserError, match=r"eager makes no sliding window, and the model's of 20 .*rows of 512"):
        install(mistral(window=20), Choice("eager"))
    model = mistral(window=20)
    install(model, Choice("eager"), sequence_length=20)
    assert model.config._attn_implementation == "eager"


def test_a_model_that_cannot_be_redirected_is_refused():
    bloom = BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(UserError, match="model type bloom takes no other attention function"):
        install(bloom, choice_of("sdpa"))


def test_soft_capped_scores_are_refused_by_a_fused_function_and_done_by_eager():
    config = Gemma2Config(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8,
                          num_key_value_heads=1, intermediate_size=16, max_position_embeddings=64)  # fmt: skip
    model = Gemma2ForCausalLM(config).to(DEVICE)

    def attend():
        install(model, choice_of("sdpa"), sequence_length=64)
        refuse_leaking_documents(model, choice_of("sdpa"))

    # transformers 5.23 refuses it itself, 5.17 does not
    with pytest.raises(UserError, match=r"machine.attention=sdpa .*take machine.attention=eager"):
        attend()
    install(model, choice_of("flex"), sequence_length=64)
    with pytest.raises(UserError, match=r"flex knows no softcap of this model; take machine.attention=eager"):
        refuse_leaking_documents(model, choice_of("flex"))
    install(model, choice_of("eager"), sequence_length=64)
    refuse_leaking_documents(model, choice_of("eager"))
    assert model.training


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_models_that_keep_documents_apart_pass_and_stay_as_they_were(name, make):
    model = make().train()
    install(model, choice_of(name))
    refuse_leaking_documents(model, choice_of(name))
    assert model.training


def test_a_model_without_weights_is_checked_by_a_copy_of_one_layer():
    make, config = type(llama()), llama().config
    with torch.device("meta"):
        model = make(config)
    install(model, choice_of("sdpa"))
    refuse_leaking_documents(model, choice_of("sdpa"))
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_a_function_that_ignores_the_boundaries_is_found_out(monkeypatch):
    from transformers import AttentionInterface

    from cptlab.training.attention.sdpa import sdpa_attention

    model, attend = llama(), sdpa_attention()
    install(model, choice_of("sdpa"))

    def leaks(module, query, key, value, attention_mask, **kwargs):
        return attend(module, query, key, value, None, **kwargs)

    def blind(module, query, key, value, attention_mask, **kwargs):
        out, _ = attend(module, query, key, value, attention_mask, **kwargs)
        return torch.zeros_like(out), None

    for function, sentence in ((leaks, "see each other"), (blind, "does not see the earlier tokens")):
        monkeypatch.setitem(AttentionInterface._global_mapping, "cptlab_sdpa", function)
        with pytest.raises(UserError, match=sentence):
            refuse_leaking_documents(model, choice_of("sdpa"))
