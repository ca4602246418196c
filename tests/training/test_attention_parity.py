"""Every backend computes what eager computes, and no document sees another: forward, gradient, training."""

import pytest
import torch
from attention_models import (
    DEVICE,
    REFERENCE,
    STREAMED,
    backends,
    choice_of,
    gpt2,
    installed,
    llama,
    logits,
    mistral,
    neox,
    positions,
    qwen2,
    tokens,
    trainable,
)

from cptlab.training.attention import document_inputs

PACKED = positions([40, 100, 60], [200], [1, 198, 1])
UNPACKED = positions([200], [200])
# Largest difference from eager, of logits of order 1 to 10 and of gradients over their norm
BOUND = {name: 0.1 for name in STREAMED}
GRADIENT_BOUND = {name: 0.05 for name in STREAMED}


def loss_and_gradient(model, ids, position_ids, choice, causal=True):
    model.train().zero_grad()
    out = logits(model, ids, position_ids, choice, causal)
    loss = torch.nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@backends()
def test_editing_document_a_leaves_the_logits_of_b_unchanged(name, causal):
    model = installed(llama(), name)
    ids = tokens(PACKED)
    other = ids.clone()
    other[0, 40:140] = (other[0, 40:140] + 7) % 50  # the second document of the first row
    other[2, 0] = (other[2, 0] + 7) % 50
    with torch.no_grad():
        before, after = (logits(model, each, PACKED, choice_of(name), causal) for each in (ids, other))
    assert torch.equal(before[1], after[1])
    for row, kept in ((0, slice(0, 40)), (0, slice(140, 200)), (2, slice(1, 200))):
        torch.testing.assert_close(before[row, kept], after[row, kept], rtol=0, atol=1e-6)
    assert (before[0, 41:140] != after[0, 41:140]).any(-1).all()  # its own document does see the edit


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@backends()
def test_a_token_sees_what_comes_later_only_if_bidirectional(name, causal):
    model = installed(llama(), name)
    ids = tokens(UNPACKED)
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 7) % 50
    with torch.no_grad():
        before, after = (logits(model, each, UNPACKED, choice_of(name), causal) for each in (ids, other))
    assert torch.equal(before[:, :-1], after[:, :-1]) is causal


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("rows", [PACKED, UNPACKED], ids=["packed", "unpacked"])
@pytest.mark.parametrize("make", [llama, gpt2, neox, qwen2])
@backends("eager")
def test_logits_agree_with_eager(name, make, rows, causal):
    ids = tokens(rows)
    with torch.no_grad():
        expected, found = (
            logits(installed(make(), each), ids, rows, choice_of(each), causal) for each in ("eager", name)
        )
    torch.testing.assert_close(found, expected, rtol=0, atol=BOUND.get(name, 1e-4))


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("rows", [PACKED, UNPACKED], ids=["packed", "unpacked"])
@backends("eager")
def test_gradients_agree_with_eager(name, rows, causal):
    trainable(name)
    ids = tokens(rows)
    (loss, gradient), (other_loss, other) = (
        loss_and_gradient(installed(llama(), each), ids, rows, choice_of(each), causal) for each in ("eager", name)
    )
    assert other_loss == pytest.approx(loss, abs=BOUND.get(name, 1e-5))
    assert (other - gradient).norm() < GRADIENT_BOUND.get(name, 1e-5) * gradient.norm()


@backends()
def test_documents_alone_in_a_row_have_the_logits_that_they_have_packed(name):
    model = installed(llama(), name)
    ids = tokens(PACKED)
    alone, own = ids[:1, 40:140], positions([100])
    with torch.no_grad():
        packed, single = (logits(model, *each, choice_of(name)) for each in ((ids, PACKED), (alone, own)))
    torch.testing.assert_close(packed[:1, 40:140], single, rtol=0, atol=BOUND.get(name, 1e-4))


@backends()
def test_a_scale_of_the_scores_other_than_the_root_of_the_width_is_taken(name):
    expected, found = llama(), llama()
    for model in (expected, found):
        for layer in model.model.layers:
            layer.self_attn.scaling = 1.0  # the root would give 0.25
    ids = tokens(PACKED)
    with torch.no_grad():
        one = logits(installed(expected, "eager"), ids, PACKED, choice_of("eager"))
        other = logits(installed(found, name), ids, PACKED, choice_of(name))
        plain = logits(installed(llama(), name), ids, PACKED, choice_of(name))
    torch.testing.assert_close(other, one, rtol=0, atol=2 * BOUND.get(name, 5e-5))
    assert (plain - one).abs().max() > 0.3


@backends("eager", "flex")
def test_a_sliding_window_hides_what_is_too_far(name):
    model, whole = installed(mistral(window=20), name), installed(mistral(window=None), name)
    ids = tokens(UNPACKED)
    other = ids.clone()
    other[:, 0] = (other[:, 0] + 7) % 50
    with torch.no_grad():
        before, after = (logits(model, each, UNPACKED, choice_of(name)) for each in (ids, other))
        unlimited = logits(whole, ids, UNPACKED, choice_of(name))
        eager = model
        eager.set_attn_implementation("eager")
        with torch.autocast(DEVICE, torch.bfloat16, enabled=name in STREAMED):
            expected = eager(input_ids=ids, use_cache=False).logits.float()  # the mask that transformers makes
    reach = 2 * 19  # two layers of a window of 20
    assert torch.equal(before[:, reach + 1 :], after[:, reach + 1 :])
    assert not torch.equal(before[:, 1 : reach + 1], after[:, 1 : reach + 1])
    assert (unlimited - expected).abs().max() > 0.1
    torch.testing.assert_close(before, expected, rtol=0, atol=BOUND.get(name, 1e-4))


@backends()
def test_checkpointed_activations_give_the_same_gradient(name):
    trainable(name)
    ids, gradients = tokens(PACKED), []
    for checkpointed in (False, True):
        model = installed(llama(), name)
        if checkpointed:
            enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
            enable({"use_reentrant": False})
        gradients.append(loss_and_gradient(model, ids, PACKED, choice_of(name))[1])
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert all(layer.gradient_checkpointing for layer in model.model.layers)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks for one as it traces
@backends("eager", REFERENCE)
def test_a_layer_is_one_graph_for_the_compiler(name):
    trainable(name)
    model = installed(llama(), name)
    ids = tokens(PACKED)
    expected = logits(model, ids, PACKED, choice_of(name))
    for layer in model.model.layers:
        layer.compile(backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(logits(model, ids, PACKED, choice_of(name)), expected, rtol=0, atol=1e-5)


@backends("eager")
def test_padded_rows_are_masked_as_transformers_masks_them(name):
    trainable(name)
    model = installed(llama(), name)
    ids = tokens(UNPACKED)
    padding = torch.ones_like(ids)
    padding[0, :50] = 0
    with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16, enabled=name in STREAMED):
        found = model(input_ids=ids, attention_mask=padding).logits.float()
        plain = model(input_ids=ids).logits.float()
        model.set_attn_implementation("eager")
        expected = model(input_ids=ids, attention_mask=padding).logits.float()
    torch.testing.assert_close(found[0, 50:], expected[0, 50:], rtol=0, atol=BOUND.get(name, 1e-4))
    assert not torch.allclose(plain[0, 50:], expected[0, 50:], atol=1e-2)


@backends("eager")
def test_twenty_steps_lose_the_same_as_with_eager(name):
    trainable(name)
    losses = {}
    for each in ("eager", name):
        model = installed(llama(), each)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        losses[each] = []
        for step in range(20):
            rows = UNPACKED if step % 3 == 0 else PACKED
            loss, _ = loss_and_gradient(model, tokens(rows, step % 4), rows, choice_of(each))
            optimizer.step()
            losses[each].append(loss)
    assert losses[name] == pytest.approx(losses["eager"], abs=0.05 if name in STREAMED else 1e-4)
    assert losses[name][-1] < losses[name][0] - 0.05


@pytest.mark.skipif(DEVICE != "cuda", reason="a wait for the GPU can only be seen on one")
@backends("eager")
def test_making_the_inputs_from_the_cpu_does_not_wait_for_the_gpu(name):
    document_inputs(PACKED, choice_of(name), device=DEVICE)  # the first call loads kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = document_inputs(PACKED, choice_of(name), device=DEVICE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert made["position_ids"].is_cuda


@backends()
def test_transformers_looks_for_no_documents_of_its_own(name, monkeypatch):
    """It would wait for the GPU to find none."""
    import transformers.masking_utils as masks

    def found(*arguments):
        raise AssertionError("transformers looks at the positions")

    monkeypatch.setattr(masks, "find_packed_sequence_indices", found)
    model = installed(llama(), name)
    with torch.no_grad():
        for rows in (PACKED, UNPACKED):
            assert logits(model, tokens(rows), rows, choice_of(name)).isfinite().all()
        with pytest.raises(AssertionError, match="looks at the positions"):
            model(input_ids=tokens(PACKED), position_ids=PACKED.to(DEVICE), use_cache=False)
