"""One process of test_held_gradients: the bytes of tensors that a pass leaves behind, last and not last."""

import gc
import json
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from cptlab.models.tiny import Tiny
from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel import gradient_sync
from cptlab.training.parallel.arrange import arrange


def held() -> int:
    """Bytes of all tensors that are alive, each storage once."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [each for each in gc.get_objects() if isinstance(each, torch.Tensor)]
        tensors = [getattr(each, "_local_tensor", each) for each in tensors]
        tensors += [each.grad for each in tensors if each.is_leaf and each.grad is not None]
        tensors = [getattr(each, "_local_tensor", each) for each in tensors]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    return sum(storages.values())


torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
machine = Machine(devices=2, strategy="fsdp")
mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
trainer = SimpleNamespace(strategy=SimpleNamespace(device_mesh=mesh, root_device=torch.device("cpu"), model=None))
network = Network(Tiny(size="custom", width=128, depth=4, heads=2, feed_forward=512).build(500, 16, 0), CLM()).train()
whole = sum(parameter.numel() * 4 for parameter in network.parameters())
arrange(network, machine, trainer)
ids = torch.arange(32).view(2, 16) + 40 * rank
rows = {"input_ids": ids, "labels": ids.roll(-1, 1), "position_ids": torch.arange(16).expand(2, 16)}


def one_pass(last: bool) -> None:
    with gradient_sync(trainer, network, last):
        network(network.inputs(rows), torch.tensor(0.01))[0].backward()


one_pass(True)  # what is made once is made
for parameter in network.parameters():
    parameter.grad = None
before, left = held(), []
for last in (False, False, True):
    one_pass(last)
    left.append(held() - before)
local = sum(parameter.grad.to_local().numel() * 4 for parameter in network.parameters())
total = torch.stack([parameter.grad.full_tensor().norm() for parameter in network.parameters()]).norm().item()
report = {"whole": whole, "local": local, "left": left, "norm": total}
Path(sys.argv[1], f"rank{rank}.json").write_text(json.dumps(report))
dist.barrier()
dist.destroy_process_group()
os._exit(0)
