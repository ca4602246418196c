"""Adapters train little, leave the base alone, and merge into a plain model of the same logits."""

import pytest
import torch
from known_adapters import EVERY, LOW_RANK, Machine, adapted, batch, frozen_hash, llama, logits, train
from transformers import AutoModelForCausalLM

from cptlab.adapters.base import count_trainable, load_trained_state, trained_state
from cptlab.adapters.dora import DoRA
from cptlab.adapters.layers.nf4 import NF4Linear
from cptlab.adapters.lora import LoRA
from cptlab.adapters.none import NoAdapter
from cptlab.adapters.qlora import QLoRA
from cptlab.errors import UserError

PLAIN_BASE = [name for name in LOW_RANK if not name.startswith("qlora")]


@pytest.mark.parametrize("name", LOW_RANK)
def test_training_lowers_the_loss_and_leaves_the_base_to_the_byte(name):
    model = adapted(LOW_RANK[name])
    before = frozen_hash(model)
    losses = train(model)
    assert losses[-1] < losses[0] - 0.02
    assert frozen_hash(model) == before
    assert all("lora" in n for n, p in model.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("name", PLAIN_BASE)
def test_an_adapter_starts_as_the_base(name):
    torch.testing.assert_close(logits(adapted(LOW_RANK[name])), logits(llama()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["lora", "lora_gaussian", "lora_orthogonal", "dora"])
def test_the_frozen_base_is_the_file_to_the_byte_unless_the_init_moves_a_part_of_it(name):
    original = {key: value for key, value in llama().state_dict().items() if key.endswith("proj.weight")}
    model = adapted(LOW_RANK[name])
    train(model, 3)
    found = {key.replace(".base_layer", ""): value for key, value in model.state_dict().items()}
    assert len(original) == 21
    assert all(torch.equal(found[key], value) for key, value in original.items())


@pytest.mark.parametrize("name", EVERY)
def test_the_merged_model_is_plain_and_has_the_same_logits(name, tmp_path):
    adapter, model = EVERY[name], adapted(EVERY[name])
    train(model)
    expected = logits(model)
    merged = adapter.merged(model)
    assert {type(m).__module__.split(".")[0] for m in merged.modules()} <= {"torch", "transformers"}
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=2e-5)
    assert torch.equal(logits(model), expected)  # the adapted model goes on
    merged.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32")
    torch.testing.assert_close(logits(again), expected, rtol=0, atol=2e-5)
    assert {key: v.shape for key, v in again.state_dict().items()} == {
        key: v.shape for key, v in llama().state_dict().items()
    }


def test_training_goes_on_after_a_merge():
    model = adapted(LOW_RANK["lora"])
    train(model, 3)
    LOW_RANK["lora"].merged(model)
    losses = train(model, 5)
    assert losses[-1] < losses[0]


def test_lora_is_base_plus_scaled_product():
    adapter = LoRA(rank=4, alpha=12, targets=["o_proj"])
    model = adapted(adapter)
    train(model, 3)
    layer = model.model.layers[1].self_attn.o_proj
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    merged = adapter.merged(model).model.layers[1].self_attn.o_proj.weight
    torch.testing.assert_close(merged, layer.base_layer.weight + 12 / 4 * product, rtol=0, atol=1e-6)
    model = adapted(LoRA(rank=4, alpha=12, targets=["o_proj"], rs_lora=True))
    assert model.model.layers[1].self_attn.o_proj.scaling["default"] == 12 / 2


def test_doras_rows_have_the_length_that_was_trained():
    model = adapted(DoRA(rank=4, targets=["q_proj"]))
    train(model)
    magnitude = model.model.layers[0].self_attn.q_proj.lora_magnitude_vector["default"].weight
    weight = DoRA(rank=4, targets=["q_proj"]).merged(model).model.layers[0].self_attn.q_proj.weight
    torch.testing.assert_close(weight.norm(dim=1), magnitude, rtol=1e-5, atol=0)


def test_qlora_keeps_targets_in_four_bits_of_nf4_and_the_rest_as_it_was():
    model, plain = adapted(QLoRA(rank=4)), llama()
    layer, original = model.model.layers[0].mlp.up_proj.base_layer, plain.model.layers[0].mlp.up_proj.weight
    assert layer.weight.dtype == torch.uint8
    assert layer.weight.numel() == original.numel() // 2
    assert layer.weight.quant_type == "nf4"
    dequantised = QLoRA(rank=4).merged(model).model.layers[0].mlp.up_proj.weight.detach()
    blocks, found = original.detach().reshape(-1, 64), dequantised.reshape(-1, 64)
    worst = ((blocks - found).abs() / blocks.abs().amax(dim=1, keepdim=True)).max()
    assert 0 < worst < 0.16  # half of NF4's widest gap, between -1 and -.696
    assert len((found / found.abs().amax(dim=1, keepdim=True)).mul(1e4).round().unique()) == 16
    assert torch.equal(model.lm_head.weight, plain.lm_head.weight)
    assert (logits(model) - logits(plain)).abs().max() < 0.5


@pytest.mark.parametrize("shape", [(96, 160), (56, 56), (64, 128), (33, 50)])
def test_a_layer_in_nf4_is_as_near_to_its_weight_at_every_width(shape):
    linear = torch.nn.Linear(*shape)
    layer = NF4Linear.of(linear, double_quant=False)
    error = (layer.dequantized() - linear.weight).norm() / linear.weight.norm()
    assert 0.05 < error < 0.12  # .09 for uniform weights in blocks of 64
    x = torch.randn(3, shape[0])
    for mode in (True, False):
        torch.testing.assert_close(layer.train(mode)(x), x @ layer.dequantized().T + linear.bias, rtol=1e-4, atol=1e-5)


def test_an_evaluation_between_steps_changes_no_step_of_qlora():
    torch.manual_seed(0)
    plain, watched = adapted(QLoRA(rank=4)), adapted(QLoRA(rank=4))
    train(plain, 1)
    train(watched, 1)
    logits(watched)
    assert train(plain, 2) == train(watched, 2)


def test_embeddings_and_head_are_trained_on_demand_and_stay_tied():
    adapter = LoRA(rank=4, train_embeddings=True)
    model = adapted(adapter)
    before = model.lm_head.weight.detach().clone()
    train(model, 2)
    assert not torch.equal(model.lm_head.weight, before)
    merged = adapter.merged(model)
    assert merged.lm_head.weight is merged.model.embed_tokens.weight
    torch.testing.assert_close(logits(merged), logits(model), rtol=0, atol=2e-5)
    untied = llama()
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.detach().clone())
    adapter.apply(untied)
    assert untied.lm_head.weight.requires_grad
    assert untied.model.embed_tokens.weight.requires_grad


def test_trainable_and_total_parameters_are_counted():
    total = sum(p.numel() for p in llama().parameters())
    assert count_trainable(adapted(NoAdapter())) == (total, total)
    # per layer: q, k, v, o of 96 x 96, gate, up of 224 x 96, down of 96 x 224, each rank x (in + out)
    added = 3 * 4 * (4 * (96 + 96) + 3 * (96 + 224))
    for name in ("lora", "lora_pissa", "qlora"):
        assert count_trainable(adapted(LOW_RANK[name])) == (added, total + added)
    magnitudes = 3 * (4 * 96 + 2 * 224 + 96)
    assert count_trainable(adapted(LOW_RANK["dora"])) == (added + magnitudes, total + added + magnitudes)
    assert count_trainable(adapted(LoRA(rank=4, train_embeddings=True))) == (added + 50 * 96, total + added)


@pytest.mark.parametrize("name", LOW_RANK)
def test_what_is_trained_is_enough_to_go_on(name):
    model = adapted(LOW_RANK[name])
    train(model, 3)
    state, expected = {key: value.clone() for key, value in trained_state(model).items()}, logits(model)
    again = adapted(LOW_RANK[name])
    assert not torch.equal(logits(again), expected)
    load_trained_state(again, state)
    assert torch.equal(logits(again), expected)
    assert sum(value.numel() for value in state.values()) == count_trainable(model)[0]


def test_a_state_of_another_adapter_is_refused():
    state = trained_state(adapted(LOW_RANK["lora"]))
    with pytest.raises(UserError, match=r"the saved adapter lacks .*lora_magnitude_vector"):
        load_trained_state(adapted(LOW_RANK["dora"]), state)


def test_the_same_seed_gives_the_same_adapter():
    first, second = (adapted(LoRA(rank=4)).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_target_that_is_no_layer_is_refused_with_the_closest():
    with pytest.raises(UserError, match=r"adapter\.targets names q_porj, no linear layer\. Did you mean q_proj\?"):
        LoRA(targets=["q_porj"]).apply(llama())
    with pytest.raises(UserError, match=r"adapter\.targets names lm_head"):
        QLoRA(targets=["lm_head"]).apply(llama())


def test_gradient_checkpointing_gives_the_same_gradients():
    found = []
    for checkpointing in (False, True):
        model = adapted(LOW_RANK["qlora"])
        if checkpointing:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        model(input_ids=batch(), labels=batch(), use_cache=False).loss.backward()
        found.append([p.grad for p in model.parameters() if p.requires_grad])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", EVERY)
def test_every_adapter_goes_with_one_device_and_with_ddp(name):
    for strategy in ("single", "ddp"):
        EVERY[name].check(Machine(strategy=strategy))
    if name == "none":
        assert EVERY[name].identity() == {}
    else:
        assert EVERY[name].identity()["variant"] == name.split("_")[0]
        assert EVERY[name].identity()["rank"] == 4


@pytest.mark.parametrize(
    ("adapter", "machine", "message"),
    [
        (QLoRA(), Machine(strategy="fsdp"), r"qlora cannot shard.*machine\.strategy=fsdp.*use adapter=lora"),
        (QLoRA(), Machine(strategy="hsdp"), r"qlora cannot shard.*machine\.strategy=hsdp.*machine\.strategy=ddp"),
        (QLoRA(), Machine(precision="fp8"), r"qlora does not go with machine\.precision=fp8.*precision=bf16"),
        (QLoRA(), Machine(offload=True), r"qlora does not go with machine\.offload=true.*adapter=lora"),
        (LoRA(), Machine(precision="fp8"), r"lora does not go with machine\.precision=fp8"),
        (DoRA(), Machine(tensor_parallel=2), r"dora does not go with machine\.tensor_parallel=2.*machine=fsdp"),
    ],
)
def test_what_cannot_work_is_refused_with_the_alternative(adapter, machine, message):
    with pytest.raises(UserError, match=message):
        adapter.check(machine)


def test_lora_and_dora_may_be_sharded():
    for adapter in (LoRA(), DoRA(), NoAdapter()):
        assert adapter.check(Machine(strategy="fsdp", offload=True)) is None


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else object())
    LoRA().check(Machine())
    with pytest.raises(UserError, match=r"adapter=qlora needs the package bitsandbytes.*'cptlab\[adapters\]'"):
        QLoRA().check(Machine())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRA(rank=0), r"adapter\.rank is 0"),
        (lambda: LoRA(alpha=0.0), r"adapter\.alpha is 0"),
        (lambda: DoRA(dropout=1.0), r"adapter\.dropout is 1"),
        (lambda: LoRA(init="pisa"), r"adapter\.init is pisa\. Did you mean pissa"),
        (lambda: QLoRA(init="pissa"), r"adapter\.init is pissa\. .*default, gaussian"),
        (lambda: LoRA(targets=[]), r"adapter\.targets is empty"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(make, message):
    with pytest.raises(UserError, match=message):
        make()
