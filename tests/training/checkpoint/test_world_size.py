"""What two sharded processes wrote a plain one takes up, and the other way, in both kinds of checkpoint.

On plain torch.distributed (gloo) with `fully_shard`; runs of train.py are in test_other_processes.py.
"""

import json
import os
import socket

import numpy as np
import pytest
import torch

from cptlab.data.packing import Batch, positions
from cptlab.models.tiny import Tiny
from cptlab.optimizers.adamw import AdamW
from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.load import restore
from cptlab.training.checkpoint.save import write_checkpoint
from cptlab.training.checkpoint.state import take
from cptlab.training.evaluate import to_tensors
from cptlab.training.network import Network
from cptlab.training.objective import CLM

STEPS, HALF = 6, 3


def batch(step, rank=0, size=1):
    """Four rows of a step, shared out among the ranks."""
    ids = np.random.default_rng(step).integers(0, 50, (4, 16))[rank::size]
    zeros = np.zeros(len(ids), int)
    return to_tensors(Batch(ids, np.roll(ids, -1, 1), positions(ids == 0), zeros, zeros.astype(bool)))


def train(run, first, last, *, sharded, kind="auto", rank=0, size=1, frozen=False):
    """Steps `first` to `last`; from and to a checkpoint where it is not the beginning or the end. Returns the losses."""
    torch.set_num_threads(1)
    network = Network(Tiny(size="custom", width=16, depth=2, heads=2, feed_forward=32).build(50, 16, 0), CLM())
    if frozen:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_("mlp" in name)
    if sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (size,))
        for block in network.model.model.layers:
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
    optimizer = AdamW(peak_lr=1e-2).build(network)
    if first:
        path = folder.newest_valid(run, print)
        restore(path, json.loads((path / folder.STATE).read_text()), network, optimizer)
    losses = []
    for step in range(first, last):
        total = network(network.inputs(batch(step, rank, size)))[0]
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total.detach() / size)
    losses = torch.stack(losses)
    if size > 1:
        torch.distributed.all_reduce(losses)
    if last < STEPS:
        write_checkpoint(run, {"run_id": "x", "step": last}, network, optimizer, kind, keep=1)
    return losses.tolist()


def _process(rank, size, port, run, first, last, kind, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=size)
    losses = train(run, first, last, sharded=True, kind=kind, rank=rank, size=size)
    torch.distributed.destroy_process_group()
    if rank == 0:
        results.put(losses)


def fsdp(server, size, run, first, last, kind="auto"):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results = server.Queue()
    started = [
        server.Process(target=_process, args=(rank, size, port, run, first, last, kind, results))
        for rank in range(size)
    ]
    for each in started:
        each.start()
    losses = results.get(timeout=90)
    for each in started:
        each.join(30)
        assert each.exitcode == 0
    return losses


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"), 0, STEPS, sharded=False)


def kind_of(run):
    return json.loads((folder.newest_valid(run, print) / folder.STATE).read_text())["kind"]


@pytest.mark.parametrize("kind", ["sharded", "full"])
def test_a_plain_run_goes_on_from_what_two_processes_wrote(server, tmp_path, undisturbed, kind):
    losses = fsdp(server, 2, tmp_path, 0, HALF, kind)
    assert kind_of(tmp_path) == kind
    losses += train(tmp_path, HALF, STEPS, sharded=False)
    np.testing.assert_allclose(losses, undisturbed, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sharded", "full"])
def test_two_processes_go_on_from_what_a_plain_run_wrote(server, tmp_path, undisturbed, kind):
    losses = train(tmp_path, 0, HALF, sharded=False, kind=kind)
    losses += fsdp(server, 2, tmp_path, HALF, STEPS)
    np.testing.assert_allclose(losses, undisturbed, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sharded", "full"])
def test_plain_to_plain_is_exact_and_frozen_weights_are_not_kept(tmp_path, kind):
    whole = train(tmp_path / "whole", 0, STEPS, sharded=False, frozen=True)
    losses = train(tmp_path, 0, HALF, sharded=False, kind=kind, frozen=True)
    losses += train(tmp_path, HALF, STEPS, sharded=False, frozen=True)
    assert losses == whole
    content = json.loads((folder.newest_valid(tmp_path, print) / folder.STATE).read_text())
    names = content["plain"]["model"]["dict"]
    assert len(names) == 6  # three matrices of each MLP
    assert all("mlp" in name for name in names)


def test_the_names_are_the_models_own(tmp_path):
    train(tmp_path, 0, HALF, sharded=False)
    kept = torch.load(folder.newest_valid(tmp_path, print) / folder.FULL, weights_only=True)
    assert "model/model.model.layers.0.mlp.up_proj.weight" in kept
    assert "optimizer/state/model.model.layers.0.mlp.up_proj.weight/exp_avg" in kept


def test_a_state_that_was_only_looked_at_is_made_before_it_is_read():
    network = Network(Tiny(size="custom", width=16, depth=1, heads=2, feed_forward=32).build(50, 16, 0), CLM())
    optimizer = AdamW().build(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not any(optimizer.state[parameter] for parameter in network.parameters())  # as schedule-free's train() does
    tensors = take(network, optimizer, full=False)[1]
    moments = [name for name in tensors if name.endswith("exp_avg_sq")]
    assert len(moments) == len(list(network.parameters()))
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
