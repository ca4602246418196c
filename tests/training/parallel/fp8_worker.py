"""One process of FSDP with FP8 gathers: a few steps, then the final model and both kinds of checkpoint into a folder."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from cptlab.models.tiny import Tiny
from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.load import state_in, weights_in
from cptlab.training.checkpoint.save import write_checkpoint
from cptlab.training.checkpoint.state import put, take
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel.blocks import blocks_of
from cptlab.training.parallel.fp8 import to_fp8
from cptlab.training.parallel.gather import save_whole
from cptlab.training.parallel.sharding import shard

target = Path(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{target}/meeting", rank=0, world_size=1)
machine = Machine(strategy="fsdp", precision="bf16")
model = Tiny(size="custom", width=32, depth=1, heads=2, feed_forward=64).build(64, 16, 0)
assert to_fp8(blocks_of(model), sharded=True, emulate=True) == 7
net = Network(model, CLM()).train()
shard(net, blocks_of(model), init_device_mesh("cpu", (1,)), machine)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
ids = torch.arange(64).view(4, 16)
batch = {"input_ids": ids, "labels": ids.roll(-1, 1), "position_ids": torch.arange(16).expand(4, 16)}


def loss():
    total, _ = net(net.inputs(batch))
    return total


for _ in range(3):
    loss().backward()
    optimizer.step()
    optimizer.zero_grad()
kinds = {type(p.full_tensor()).__name__ for p in net.parameters()}
assert "WeightWithDynamicFloat8CastTensor" in kinds, kinds  # torchao's own: what the files must not hold
save_whole(model, target / "model", True)
expected = loss().item()
for kind in ("full", "sharded"):
    path = write_checkpoint(target / kind, {"step": 3, "run_id": "fp8"}, net, optimizer, kind, 1)
    weights = weights_in(path)
    assert {type(tensor) for tensor in weights.values()} == {torch.Tensor}, kind
    if kind == "full":
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(0.5)
        tensors = torch.load(path / folder.FULL, weights_only=True)
        assert {type(tensor) for tensor in tensors.values()} == {torch.Tensor}
        put(net, optimizer, state_in(path)["plain"], tensors, True)
        assert loss().item() == expected
_, live = take(net, optimizer, full=False)
assert {type(t.to_local()) for t in live.values() if hasattr(t, "to_local")} == {torch.Tensor}
torch.save({name.removeprefix("inner.0."): t for name, t in weights.items()}, target / "weights.pt")
dist.destroy_process_group()
