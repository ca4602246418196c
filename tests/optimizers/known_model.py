"""A tiny Llama, a fixed batch, a machine: what the tests of optimizers train on."""

from dataclasses import dataclass

import torch

from cptlab.models.tiny import Tiny
from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.adamw8bit import AdamW8bit
from cptlab.optimizers.clipping import clip_gradients
from cptlab.optimizers.galore import GaLore
from cptlab.optimizers.groups import set_lr
from cptlab.optimizers.lion8bit import Lion8bit
from cptlab.optimizers.muon import Muon
from cptlab.optimizers.schedule_free import ScheduleFree

EVERY = {
    "adamw": AdamW(peak_lr=3e-3),
    "muon": Muon(peak_lr=3e-3),
    "adamw8bit": AdamW8bit(peak_lr=3e-3),
    "adamw8bit_torchao": AdamW8bit(peak_lr=3e-3, library="torchao"),
    "lion8bit": Lion8bit(peak_lr=3e-4),
    "galore": GaLore(peak_lr=1e-2, rank=8, update_gap=3),
    "schedule_free": ScheduleFree(peak_lr=3e-3),
}


@dataclass
class Machine:
    """The fields that optimizers and adapters ask for."""

    accelerator: str = "cpu"
    strategy: str = "single"
    precision: str = "auto"
    tensor_parallel: int = 1
    offload: bool = False


def llama(size="300k"):
    return Tiny(size=size).build(50, 32, 0).train()


def batch():
    return torch.randint(0, 50, (4, 32), generator=torch.Generator().manual_seed(0))


def loss_of(model):
    return model(input_ids=batch(), labels=batch(), use_cache=False).loss


def steps(model, built, variant, number):
    """Losses before each of `number` steps."""
    losses = []
    for _ in range(number):
        loss = loss_of(model)
        loss.backward()
        clip_gradients(model.parameters(), variant.clip)
        set_lr(built, variant.peak_lr)
        built.step()
        built.zero_grad()
        losses.append(loss.item())
    return losses


def one_weight(*shape, seed=0):
    """A module with one matrix `weight` and the gradient that it gets."""
    generator = torch.Generator().manual_seed(seed)
    module = torch.nn.Linear(shape[1], shape[0], bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.randn(shape, generator=generator))
    return module, torch.randn(shape, generator=generator)
