"""A tiny Llama and one adapter of each kind."""

import hashlib
from dataclasses import dataclass

import torch

from cptlab.adapters.dora import DoRA
from cptlab.adapters.lora import LoRA
from cptlab.adapters.none import NoAdapter
from cptlab.adapters.qlora import QLoRA
from cptlab.models.tiny import Tiny
from cptlab.optimizers.adamw import AdamW

LOW_RANK = {
    "lora": LoRA(rank=4),
    "lora_rs": LoRA(rank=4, rs_lora=True, dropout=0.1),
    "lora_gaussian": LoRA(rank=4, init="gaussian", targets=["q_proj", "up_proj"]),
    "lora_orthogonal": LoRA(rank=4, init="orthogonal"),
    "lora_pissa": LoRA(rank=4, init="pissa"),
    "lora_olora": LoRA(rank=4, init="olora"),
    "dora": DoRA(rank=4),
    "qlora": QLoRA(rank=4),
    "qlora_single": QLoRA(rank=4, double_quant=False),
}
EVERY = {"none": NoAdapter(), **LOW_RANK}


@dataclass
class Machine:
    """The fields that adapters ask for."""

    strategy: str = "single"
    precision: str = "auto"
    tensor_parallel: int = 1
    offload: bool = False


def llama():
    """A model of 300k whose head is tied to its embeddings."""
    return Tiny(size="300k").build(50, 32, 0).train()


def adapted(adapter):
    torch.manual_seed(0)
    return adapter.apply(llama())


def batch():
    return torch.randint(0, 50, (4, 32), generator=torch.Generator().manual_seed(0))


def logits(model):
    model.eval()
    with torch.no_grad():
        found = model(input_ids=batch(), use_cache=False).logits
    model.train()
    return found


def train(model, number=8, peak_lr=1e-2):
    """Losses before each step."""
    built = AdamW(peak_lr=peak_lr).build(model)
    losses = []
    for _ in range(number):
        loss = model(input_ids=batch(), labels=batch(), use_cache=False).loss
        loss.backward()
        built.step()
        built.zero_grad()
        losses.append(loss.item())
    return losses


def frozen_hash(model):
    """SHA-256 over the bytes of everything that is not trained."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.encode() + parameter.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
