"""What is done to each block: checkpointing and compiling change no number; what cannot be done says so."""

from functools import partial

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.optimizers.clipping import clip_gradients, gradient_norm
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel.activation_checkpointing import checkpoint_blocks
from cptlab.training.parallel.blocks import blocks_of
from cptlab.training.parallel.compile import compile_blocks
from cptlab.training.parallel.fp8 import check_fp8
from cptlab.training.parallel.strategy import lightning_precision, strategy_of
from cptlab.training.parallel.tensor_parallel import check_blocks


def batch():
    ids = torch.arange(24).view(2, 12) % 11
    return {"input_ids": ids, "labels": ids.roll(-1, 1), "position_ids": torch.arange(12).expand(2, 12)}


def network(depth=3):
    model = Tiny(size="custom", width=16, depth=depth, heads=2, feed_forward=32).build(50, 12, 0)
    return Network(model, CLM()).train()


def loss_and_gradients(net):
    total, _ = net(net.inputs(batch()))
    total.backward()
    return [total.detach(), *(parameter.grad for parameter in net.parameters())]


@pytest.mark.parametrize(("mode", "again"), [("none", 0), ("full", 3), ("selective", 2)])
def test_recomputed_activations_leave_loss_and_gradients(mode, again):
    expected = loss_and_gradients(network())
    net, calls = network(), []
    for block in blocks_of(net.inner[0]):
        block.mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    if mode != "none":
        checkpoint_blocks(blocks_of(net.inner[0]), mode)
    for one, other in zip(expected, loss_and_gradients(net), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert len(calls) == 3 + again
    assert set(dict(net.named_parameters())) == set(dict(network().named_parameters()))


@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_blocks_train_the_same_for_three_steps(monkeypatch):
    """Traced and differentiated ahead of time; kernels in C++ take a minute and are left to the benchmarks."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    nets = [network(depth=1), network(depth=1)]
    compile_blocks(nets[1], blocks_of(nets[1].inner[0]), "blocks")
    losses = []
    for net in nets:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            losses.append(loss_and_gradients(net)[0])
            optimizer.step()
            optimizer.zero_grad()
    compiled = blocks_of(nets[1].inner[0])[0].forward
    assert not compiled.given_up
    torch.testing.assert_close(losses[3:], losses[:3], rtol=1e-5, atol=1e-6)
    assert losses[2] < losses[0]


def test_blocks_that_are_compiled_are_not_compiled_again(monkeypatch):
    net, calls = network(), []
    monkeypatch.setattr(torch, "compile", lambda forward, **options: calls.append(forward) or forward)
    for _ in range(2):
        compile_blocks(net, blocks_of(net.inner[0]), "blocks")
    assert len(calls) == len(blocks_of(net.inner[0]))


def test_blocks_that_cannot_be_compiled_run_as_they_are_and_one_line_says_so(capsys, monkeypatch):
    from torch._dynamo.exc import BackendCompilerFailed

    def no_compiler(forward, **options):
        def refuse(*args, **kwargs):
            raise BackendCompilerFailed("inductor", RuntimeError("no C++ compiler"), None)

        return refuse

    expected = loss_and_gradients(network())
    net = network()
    monkeypatch.setattr(torch, "compile", no_compiler)
    compile_blocks(net, blocks_of(net.inner[0]), "blocks")
    for one, other in zip(expected, loss_and_gradients(net), strict=True):
        assert torch.equal(one, other)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("machine.compile: blocks run uncompiled, because ")
    assert "no C++ compiler" in lines[0]


@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_backward_pass_that_cannot_be_compiled_falls_back_before_it_is_needed(capsys, monkeypatch):
    from torch._dynamo.backends.common import aot_autograd

    def refuse(graph, inputs):
        raise RuntimeError("out of resource: shared memory")

    expected = loss_and_gradients(network())
    net, compiler = network(), aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=refuse)
    monkeypatch.setattr(torch, "compile", lambda forward, mode, wanted=torch.compile: wanted(forward, backend=compiler))
    compile_blocks(net, blocks_of(net.inner[0]), "blocks")
    for one, other in zip(expected, loss_and_gradients(net), strict=True):
        torch.testing.assert_close(one, other)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("machine.compile: blocks run uncompiled, because ")
    assert "out of resource: shared memory" in line


def test_a_loss_that_cannot_be_compiled_says_loss_and_only_the_first_process_says_it(capsys, monkeypatch):
    from torch._dynamo.exc import BackendCompilerFailed

    from cptlab.training import linear_loss

    def refuse(*args, **kwargs):
        raise BackendCompilerFailed("inductor", RuntimeError("no C++ compiler"), None)

    monkeypatch.setattr(torch, "compile", lambda function: refuse)
    expected = linear_loss.eager_passes(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(2), 0.0, False)
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        linear_loss.fused_passes.cache_clear()
        found = linear_loss.fused_passes()(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(2), 0.0, False)
        torch.testing.assert_close(found[0], expected[0])
    linear_loss.fused_passes.cache_clear()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("machine.compile: the loss runs uncompiled, because ")


def test_an_error_of_the_model_is_not_taken_for_one_of_the_compiler(monkeypatch):
    net = network(depth=1)
    monkeypatch.setattr(torch, "compile", lambda forward, **options: forward)
    compile_blocks(net, blocks_of(net.inner[0]), "blocks")
    with pytest.raises(RuntimeError, match="must match the size"):
        blocks_of(net.inner[0])[0](torch.zeros(1, 2, 7))


def test_the_norm_and_the_clipped_gradients_are_those_of_torch():
    net, other = network(), network()
    loss_and_gradients(net)
    loss_and_gradients(other)
    expected = torch.nn.utils.clip_grad_norm_(other.parameters(), 0.01)
    assert torch.equal(gradient_norm(net.parameters()), expected)
    assert torch.equal(clip_gradients(net.parameters(), 0.01), expected)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_matrices_of_a_block_that_is_not_llama_like_are_not_split():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(UserError, match=r"Llama-like blocks only.*use machine.tensor_parallel=1"):
        check_blocks(blocks_of(model), 2)


def test_fp8_without_its_library_or_on_a_cpu_is_refused_with_the_alternative(monkeypatch):
    with pytest.raises(UserError, match="use fp32 on a CPU"):
        Machine(precision="fp8")
    monkeypatch.setattr("cptlab.training.parallel.fp8.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install torchao.*machine.precision=bf16"):
        check_fp8(Machine(precision="fp8", accelerator="gpu"))
    check_fp8(Machine(accelerator="gpu"))


def test_offload_on_a_cpu_is_refused():
    with pytest.raises(UserError, match=r"machine\.offload moves weights from a GPU"):
        Machine(strategy="fsdp", offload=True)


def test_sharding_casts_where_it_shards_and_autocast_elsewhere():
    assert lightning_precision(Machine(accelerator="gpu")) == "bf16-mixed"
    assert lightning_precision(Machine(accelerator="gpu", precision="fp8")) == "bf16-mixed"
    assert lightning_precision(Machine(accelerator="gpu", devices=2, strategy="fsdp")) == "32-true"
    assert lightning_precision(Machine()) == "32-true"
    assert strategy_of(Machine()) == "auto"
