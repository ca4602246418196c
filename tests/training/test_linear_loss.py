"""The chunked loss against torch's own on whole logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from cptlab.training.linear_loss import (
    cross_entropy_of_logits,
    eager_passes,
    even_chunk,
    linear_cross_entropy,
    plain_passes,
)


def problem(tokens=40, width=8, vocab=37, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    hidden = torch.randn(tokens, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocab, width, dtype=dtype, requires_grad=True)
    bias = torch.randn(vocab, dtype=dtype, requires_grad=True)
    labels = torch.randint(0, vocab, (tokens,))
    labels[::5] = -100
    return hidden, weight, bias, labels, torch.rand(tokens)


def plain(hidden, weight, bias, labels, scale, z_loss):
    logits = (hidden @ weight.T + bias).float()
    kept = labels >= 0
    losses = torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="none")
    return (scale[kept] * (losses + z_loss * logits[kept].logsumexp(-1) ** 2)).sum()


@settings(max_examples=25, deadline=None)
@given(chunk=st.integers(0, 60), z_loss=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 5))
def test_value_and_all_gradients_are_those_of_whole_logits(chunk, z_loss, seed):
    inputs = problem(seed=seed)
    expected = plain(*inputs, z_loss)
    wanted = torch.autograd.grad(expected, inputs[:3])
    got, _ = linear_cross_entropy(*inputs, z_loss, chunk)
    for one, other in zip(torch.autograd.grad(2 * got, inputs[:3]), wanted, strict=True):
        torch.testing.assert_close(one, 2 * other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_losses_of_tokens_are_zero_where_the_label_is_ignored():
    hidden, weight, bias, labels, scale = problem()
    _, losses = linear_cross_entropy(hidden, weight, bias, labels, scale, chunk=7)
    assert not losses.requires_grad
    assert losses[labels < 0].eq(0).all()
    total, others = cross_entropy_of_logits(hidden @ weight.T + bias, labels, scale, z_loss=0.1)
    torch.testing.assert_close(losses, others, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(total, linear_cross_entropy(hidden, weight, bias, labels, scale, 0.1)[0])


def test_a_frozen_head_gets_no_gradient_and_costs_none():
    hidden, weight, bias, labels, scale = problem()
    total, _ = linear_cross_entropy(hidden, weight.detach(), bias.detach(), labels, scale)
    total.backward()
    expected = torch.autograd.grad(plain(hidden, weight, bias, labels, scale, 0.0), hidden)[0]
    torch.testing.assert_close(hidden.grad, expected, rtol=1e-4, atol=1e-5)


def test_bf16_stays_near_fp32():
    inputs = problem(tokens=200, width=32, vocab=100, dtype=torch.float32)
    exact = torch.autograd.grad(linear_cross_entropy(*inputs)[0], inputs[:2])
    with torch.autocast("cpu", torch.bfloat16):
        rough = torch.autograd.grad(linear_cross_entropy(*inputs)[0], inputs[:2])
    for one, other in zip(rough, exact, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() / other.norm() < 0.02


def test_no_gradient_is_made_where_none_is_wanted():
    inputs = problem()
    with torch.no_grad():
        total, _ = linear_cross_entropy(*inputs)
    assert not total.requires_grad
    assert total.item() == pytest.approx(plain(*inputs, 0.0).item(), rel=1e-5)


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_passes_in_place_and_as_a_formula_for_a_compiler_agree(z_loss):
    torch.manual_seed(0)
    logits, target, scale = 30 * torch.randn(9, 21), torch.randint(0, 21, (9,)), torch.rand(9)
    scale[3] = 0
    expected = plain_passes(logits, target, scale, z_loss, True)
    for got, wanted in zip(eager_passes(logits.clone(), target, scale, z_loss, True), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
    assert expected[2][3].eq(0).all()
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(expected[0], losses, rtol=1e-5, atol=1e-5)
    assert eager_passes(logits.clone(), target, scale, z_loss, False)[2] is None


@settings(max_examples=50, deadline=None)
@given(tokens=st.integers(0, 5000), rows=st.integers(1, 600))
def test_chunks_are_even_and_no_longer_than_asked_for(tokens, rows):
    size = even_chunk(tokens, rows)
    assert 1 <= size <= rows
    chunks = len(range(0, tokens, size))
    assert chunks == -(-tokens // rows)
    assert chunks * size - tokens < max(chunks, 1)


def test_a_second_backward_pass_is_refused_for_the_first_has_used_the_gradients_up():
    total, _ = linear_cross_entropy(*problem())
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="one backward pass"):
        total.backward()


class Largest(TorchDispatchMode):
    """Numbers of the largest tensor that any operation returns, but for those of the shapes in `known`."""

    def __init__(self, *known):
        super().__init__()
        self.known, self.shape = {tuple(shape) for shape in known}, ()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tuple(tensor.shape) not in self.known:
                self.shape = max(self.shape, tuple(tensor.shape), key=lambda shape: torch.Size(shape).numel())
        return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_grad", [True, False])
def test_the_logits_of_all_tokens_never_exist_whole(with_grad, dtype):
    tokens, width, vocab, chunk = 96, 4, 50, 8
    hidden, weight, bias, labels, scale = problem(tokens, width, vocab, dtype=dtype)
    with Largest(hidden.shape, weight.shape, weight.T.shape) as seen, torch.set_grad_enabled(with_grad):
        total, _ = linear_cross_entropy(hidden, weight, bias, labels, scale, 0.1, chunk)
        if with_grad:
            total.backward()
    assert torch.Size(seen.shape).numel() == chunk * vocab
    with Largest(hidden.shape, weight.shape, weight.T.shape) as seen:
        cross_entropy_of_logits(hidden @ weight.T + bias, labels, scale)[0].backward()
    assert torch.Size(seen.shape).numel() == tokens * vocab  # what it would have seen


def test_a_training_pass_of_the_network_holds_no_whole_logits(monkeypatch):
    from cptlab.models.tiny import Tiny
    from cptlab.training import linear_loss
    from cptlab.training.network import Network
    from cptlab.training.objective import CLM

    rows, length, vocab = 16, 16, 512
    monkeypatch.setitem(linear_loss.CHUNK_LOGITS, "cpu", 64 * vocab)
    model = Tiny(size="custom", width=8, depth=1, heads=2, feed_forward=16).build(vocab, length, 0)
    net, ids = Network(model, CLM()).train(), torch.randint(vocab, (rows, length))
    inputs = net.inputs({"input_ids": ids, "labels": ids, "position_ids": torch.arange(length).expand(rows, length)})
    with Largest() as seen:
        net(inputs)[0].backward()
    assert torch.Size(seen.shape).numel() == 64 * vocab
