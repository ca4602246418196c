"""One optimizer step however it is cut, and heads that are not one matrix."""

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.run import open_point, train_point


def losses(study, folder, *more):
    overrides = [*study, f"runs={folder}", *more]
    rows = read_rows(train_point(compose_point(overrides), overrides, quiet=True).folder)
    return np.array([row["loss_sum"] / row["num_tokens"] for row in rows])


@pytest.mark.parametrize("rows", [1, 3])
def test_accumulated_gradients_give_the_losses_of_the_whole_batch(study, tmp_path, rows):
    whole = losses(study, tmp_path / "whole")
    cut = losses(study, tmp_path / "cut", f"machine.micro_rows={rows}")
    assert np.abs(cut - whole).max() < 1e-5
    assert np.abs(whole - whole[0]).max() > 1e-3  # it does train


def weighted(weights, *more):
    return ["objective=weighted", f"objective.weights={weights}", "mixture.domain_share=0.5", *more]


def test_equal_weights_change_nothing_and_a_weighted_mean_is_that_of_the_whole_step(study, tmp_path):
    plain = losses(study, tmp_path / "plain", "mixture.domain_share=0.5")
    equal = losses(study, tmp_path / "equal", *weighted("{prose: 3, sums: 3}"))
    assert np.abs(equal - plain).max() < 1e-5
    heavy = losses(study, tmp_path / "heavy", *weighted("{sums: 5}"))
    cut = losses(study, tmp_path / "cut", *weighted("{sums: 5}", "machine.micro_rows=1"))
    assert np.abs(cut - heavy).max() < 1e-5
    assert np.abs(heavy - plain).max() > 1e-3


def test_a_weight_that_leaves_the_others_nothing_trains_on_the_rows_of_its_corpus_alone(study, tmp_path):
    """Half of 4 rows a step are sums; with all of the weight on them, the steps are those of 2 rows of sums alone."""
    heavy = losses(study, tmp_path / "heavy", *weighted("{sums: 1e9}", "regularizer=none"))
    alone = losses(study, tmp_path / "alone", "mixture=domain_only", "rows_per_step=2", "tokens=320")
    assert np.abs(heavy - alone).max() < 1e-5


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("{sum: 2}", r"names sum, which is none of the corpora\..*sums"),
        ("{sums: 0}", "sums is 0; it must be above 0"),
        ("{}", "is empty"),
    ],
)
def test_weights_that_mean_nothing_are_refused(study, tmp_path, weights, words):
    with pytest.raises(UserError, match=words):
        open_point(compose_point([*study, f"runs={tmp_path}", *weighted(weights)]))


def test_workers_that_read_ahead_change_nothing(study, tmp_path):
    assert (losses(study, tmp_path / "0") == losses(study, tmp_path / "2", "machine.workers=2")).all()


def tiny_batch():
    ids = torch.arange(24).view(2, 12) % 11
    return {"input_ids": ids, "labels": ids.roll(-1, 1), "position_ids": torch.arange(12).expand(2, 12)}


def models():
    common = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16}
    gemma = Gemma2Config(**common, num_key_value_heads=1, head_dim=8, intermediate_size=16, attn_implementation="eager",
                         attn_logit_softcapping=None, final_logit_softcapping=1.0,
                         sliding_window=64, max_position_embeddings=64)  # fmt: skip
    yield "llama", Tiny(size="30k").build(50, 16, 0), True
    yield "gpt2", GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2)).eval(), True
    yield "soft-capped", Gemma2ForCausalLM(gemma).eval(), False


@pytest.mark.parametrize(("name", "model", "last"), list(models()), ids=lambda x: x if isinstance(x, str) else "")
def test_losses_are_those_of_the_models_own_logits(name, model, last):
    network = Network(model, CLM()).eval()
    assert network.head_is_last == last
    batch = network.inputs(tiny_batch())
    total, each = network(batch)
    own = network.logits(batch).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(own, batch["labels"].flatten())
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(each.mean(), expected, rtol=1e-5, atol=1e-6)


def test_the_residual_stream_is_bf16_under_autocast_and_fp32_without():
    model = Tiny(size="30k").build(50, 16, 0).eval()
    network, seen = Network(model, CLM()), []
    model.model.layers[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    batch = network.inputs(tiny_batch())
    plain = network(batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = network(batch)[0]
    assert seen == [torch.float32, torch.bfloat16]
    assert abs(half - plain) < 5e-3


def test_deterministic_means_yes_on_a_cpu_and_no_on_a_gpu_unless_it_is_asked_for():
    assert Machine().is_deterministic
    assert not Machine(accelerator="gpu").is_deterministic
    assert Machine(accelerator="gpu", deterministic=True).is_deterministic
    assert not Machine(deterministic=False).is_deterministic
    assert "deterministic" not in Machine(deterministic=False).identity()
