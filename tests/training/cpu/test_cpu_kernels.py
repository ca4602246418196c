"""Products by oneDNN and the norm with its own gradient: the values of torch and transformers, other rounding."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from cptlab.models.tiny import Tiny
from cptlab.training.cpu import linear
from cptlab.training.cpu.linear import SMALLEST, OneDnnLinear, has_onednn, use_onednn
from cptlab.training.cpu.rms_norm import CpuRMSNorm, use_cpu_norms
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel.arrange import arrange


def passed(layer, x, grad):
    """(output, gradient of the input, gradients of the parameters)."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(grad)
    return [y.detach(), x.grad, *(each.grad.clone() for each in layer.parameters())]


def agree(ours, theirs, bound=5e-6):
    return all((a - b).abs().max() <= bound * b.abs().max() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.skipif(not has_onednn(), reason="this build of torch has no oneDNN")
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_by_onednn_has_the_values_and_gradients_of_torch(bias, monkeypatch):
    torch.manual_seed(0)
    plain = nn.Linear(130, 257, bias=bias)
    fast = copy.deepcopy(plain)
    asked = []
    monkeypatch.setattr(linear, "product", lambda *args, wanted=linear.product: asked.append(1) or wanted(*args))
    assert use_onednn(fast_in := nn.Sequential(fast)) == 1
    x, grad = torch.randn(3, 7, 130), torch.randn(3, 7, 257)
    assert agree(passed(fast_in, x, grad), passed(plain, x, grad))
    assert len(asked) == 2  # X W^T and G W: both were made by it
    assert [name for name, _ in fast.named_parameters()] == [name for name, _ in plain.named_parameters()]


@pytest.mark.parametrize("case", ["small", "half precision", "autocast"])
def test_what_would_not_be_faster_or_right_stays_with_torch(case, monkeypatch):
    monkeypatch.setattr(linear, "product", lambda *_: pytest.fail("made by oneDNN"))
    size = 64 if case == "small" else 128
    dtype = torch.bfloat16 if case == "half precision" else torch.float32
    plain = nn.Linear(size, size, dtype=dtype)
    model = nn.Sequential(copy.deepcopy(plain))
    assert use_onednn(model) == (case != "small")
    x = torch.randn(4, size, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=case == "autocast"):
        assert torch.equal(model(x), plain(x))


def test_a_frozen_weight_or_an_input_without_gradient_costs_no_product():
    layer = OneDnnLinear(128, 128)
    layer.weight.requires_grad_(False)
    x = torch.randn(2, 128, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each.shape) or each, lambda each: each):
        total = layer(x).sum()
    assert kept == [(128, 128)]  # the weight; no input for a gradient that nobody asks for
    total.backward()
    assert layer.weight.grad is None
    assert agree([x.grad], [layer.weight.sum(0).expand(2, -1)])


def test_the_norm_has_the_values_and_gradients_of_llama():
    torch.manual_seed(0)
    theirs = LlamaRMSNorm(192, eps=1e-5)
    nn.init.normal_(theirs.weight)
    ours = nn.Sequential(copy.deepcopy(theirs))
    use_cpu_norms(ours)
    assert type(ours[0]) is CpuRMSNorm
    x = torch.randn(2, 5, 192) * 1e-2  # so small that eps counts
    grad = torch.randn(2, 5, 192)
    assert agree(passed(ours, x, grad), passed(theirs, x, grad))


def test_the_gradient_of_the_norm_is_that_of_its_formula():
    """D = 128, x = (2, 0, 0, ...): rms = 2 / sqrt(128); y_1 = sqrt(128) does not move with x_1, y_2 = x_2 / rms does."""
    norm = CpuRMSNorm(128, eps=0.0)
    x = torch.zeros(128)
    x[0] = 2.0
    x.requires_grad_()
    grad = torch.zeros(128)
    grad[:2] = 1.0
    norm(x).backward(grad)
    assert x.grad is not None
    assert x.grad[0].abs() < 1e-5
    assert abs(float(x.grad[1]) - 128**0.5 / 2) < 1e-5
    assert not x.grad[2:].any()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize(
    ("compile", "norm", "layer"), [("none", CpuRMSNorm, OneDnnLinear), ("blocks", LlamaRMSNorm, nn.Linear)]
)
def test_a_machine_without_a_gpu_takes_them_and_trains_the_same_weights_but_a_compiler_gets_plain_layers(
    compile, norm, layer
):
    model = Tiny(size="1m").build(vocab_size=SMALLEST, sequence_length=16, seed=0)
    rows = {name: torch.arange(32).reshape(2, 16) for name in ("input_ids", "labels")}
    rows["position_ids"] = torch.arange(16).expand(2, 16)
    networks = [Network(each, CLM()).train() for each in (model, copy.deepcopy(model))]
    arrange(networks[0], Machine(compile=compile), SimpleNamespace(strategy=None))  # type: ignore[arg-type]
    kinds = {type(each) for each in model.modules()}
    assert {norm, layer} <= kinds
    assert kinds.isdisjoint({CpuRMSNorm, OneDnnLinear} - {norm, layer})
    assert type(model.get_output_embeddings()) is nn.Linear  # else the loss would hold all logits at once
    if compile == "none":
        for network in networks:
            network(network.inputs(rows))[0].backward()
        theirs = [each.grad for each in networks[1].parameters()]
        assert agree([each.grad for each in networks[0].parameters()], theirs, bound=1e-4)
