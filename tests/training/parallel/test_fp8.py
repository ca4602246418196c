"""FP8 of torchao: which matrices are converted, how far they are from bf16, that they train. Emulated on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel.blocks import blocks_of
from cptlab.training.parallel.fp8 import to_fp8

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*torchao.*:UserWarning")
ROOT = Path(__file__).parents[3]
EACH = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def network(width=32, feed_forward=64, fp8=False):
    model = Tiny(size="custom", width=width, depth=2, heads=2, feed_forward=feed_forward).build(64, 16, 0)
    number = to_fp8(blocks_of(model), sharded=False, emulate=True) if fp8 else 0
    return Network(model, CLM()).train(), number


def converted(net):
    return {name.rpartition(".")[2] for name, m in net.named_modules() if type(m).__name__ == "Float8Linear"}


def batch(step=0):
    draw = torch.Generator().manual_seed(step)
    ids = (torch.randint(64, (4, 1), generator=draw) + torch.arange(16)) % 64  # each token follows from the one before
    return {"input_ids": ids, "labels": ids.roll(-1, 1), "position_ids": torch.arange(16).expand(4, 16)}


def step(net, rows):
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = net(net.inputs(rows))
    total.backward()
    return total.item()


def test_every_matrix_of_the_blocks_is_converted_and_head_and_embedding_are_not():
    net, number = network(fp8=True)
    assert number == 2 * 7
    assert converted(net) == EACH
    assert type(net.inner[0].lm_head) is torch.nn.Linear
    assert type(net.inner[0].get_input_embeddings()) is torch.nn.Embedding
    assert [name for name, _ in net.named_parameters()] == [name for name, _ in network()[0].named_parameters()]


def test_matrices_with_a_side_off_sixteen_stay_as_they_are():
    net, number = network(feed_forward=40, fp8=True)
    assert number == 2 * 4
    assert converted(net) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert network(width=24, feed_forward=40, fp8=True)[1] == 0


def test_gradients_reach_every_weight_and_stay_near_those_of_bf16():
    (plain, _), (eighth, _) = network(), network(fp8=True)
    losses = [step(net, batch()) for net in (plain, eighth)]
    assert losses[0] != losses[1]  # it does round
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    for (name, one), other in zip(plain.named_parameters(), eighth.parameters(), strict=True):
        assert other.grad is not None, name
        cosine = torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert cosine > 0.98, name  # E4M3 keeps 3 bits: 6 % a number at most, and they average out


def test_thirty_steps_lose_what_bf16_loses():
    ends = []
    for fp8 in (False, True):
        net, _ = network(fp8=fp8)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
        losses = []
        for number in range(30):
            losses.append(step(net, batch(number)))
            optimizer.step()
            optimizer.zero_grad()
        ends.append(sum(losses[-5:]) / 5)
        assert ends[-1] < losses[0] - 0.5
    assert ends[1] == pytest.approx(ends[0], rel=0.05)


def test_fp8_with_split_matrices_is_refused_with_the_alternative():
    gpus = {"accelerator": "gpu", "devices": 4, "strategy": "fsdp", "tensor_parallel": 2}
    with pytest.raises(UserError, match=r"fp8 does not go with machine\.tensor_parallel.*machine\.precision=bf16"):
        Machine(**gpus, precision="fp8")
    assert Machine(**gpus, precision="bf16").world_size == 4


def test_under_fsdp_the_final_model_and_checkpoints_hold_plain_fp32_weights(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("fp8_worker.py")), str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    from safetensors.torch import load_file  # a process that knows nothing of torchao's tensors

    found = load_file(tmp_path / "model" / "model.safetensors")
    kept = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert len(found) == 11
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    for name, tensor in found.items():
        [of_checkpoint] = [other for key, other in kept.items() if key.endswith(name)]
        assert torch.equal(tensor, of_checkpoint), name
