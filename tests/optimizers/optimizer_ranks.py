"""What one of two gloo processes does in tests/optimizers/test_sharded_optimizers.py."""

import sys

import torch
import torch.distributed as dist
from known_model import EVERY, llama, loss_of, one_weight, steps
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from cptlab.adapters.dora import DoRA
from cptlab.adapters.lora import LoRA
from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.clipping import clip_gradients

LARGE = AdamW(peak_lr=1e-2)
ADAPTERS = {"lora": LoRA(rank=4), "dora": DoRA(rank=4, train_embeddings=True)}
NAMES = ("adamw", "muon", "adamw8bit", "schedule_free")


def sharded(model):
    for block in model.model.layers:
        fully_shard(block)
    return fully_shard(model)


def whole(model):
    return {name: p.full_tensor().detach() for name, p in model.state_dict().items()}


def train_sharded(name):
    """Losses and final weights of six steps, the optimizer's state saved and loaded (DCP's way) after three."""
    variant, model = EVERY[name], sharded(llama())
    built = variant.build(model)
    losses = steps(model, built, variant, 3)
    state = get_optimizer_state_dict(model, built)
    rebuilt = variant.build(model)
    set_optimizer_state_dict(model, rebuilt, state)
    return {"kind": type(built).__name__, "losses": losses + steps(model, rebuilt, variant, 3), "weights": whole(model)}


def train_adapted(name):
    """Losses of four steps of a sharded model with an adapter."""
    torch.manual_seed(0)
    model = sharded(ADAPTERS[name].apply(llama()))
    return steps(model, LARGE.build(model), LARGE, 4)


def clipped():
    """Norm before clipping, and after it, of sharded gradients together with one that is not."""
    model, (extra, gradient) = sharded(llama("30k")), one_weight(3, 4)
    loss_of(model).backward()
    extra.weight.grad = gradient
    parameters = [*model.parameters(), extra.weight]
    before = clip_gradients(parameters, 0.5)
    return {"before": before, "after": clip_gradients(parameters, 0.0), "plain": not isinstance(before, DTensor)}


def main(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = (
        {name: train_sharded(name) for name in NAMES}
        | {name: train_adapted(name) for name in ADAPTERS}
        | {"clipped": clipped()}
    )
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
