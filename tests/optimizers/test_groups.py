"""Which weights decay, and by which LR a group moves."""

import torch
from known_model import llama
from torch import nn

from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.groups import kinds, set_lr
from cptlab.optimizers.muon import Muon


def names_by_kind(model):
    named = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for kind, parameter in kinds(model):
        found.setdefault(kind, set()).add(named[id(parameter)])
    return found


class Whole(nn.Module):
    """A root around a language model, with a bias of its own."""

    def __init__(self):
        super().__init__()
        self.model, self.out = llama("30k"), nn.Linear(4, 3)
        self.model.lm_head.weight = nn.Parameter(torch.zeros(50, 32))  # not tied to the input


def test_the_four_kinds_are_told_apart_also_inside_a_wrapper():
    found = names_by_kind(Whole())
    assert found["embeddings"] == {"model.model.embed_tokens.weight", "model.lm_head.weight"}
    assert found["biases"] == {"out.bias"}
    assert {name.rpartition("layernorm.")[1] or name for name in found["norms"]} == {
        "layernorm.",
        "model.model.norm.weight",
    }
    assert found["matrices"] >= {"out.weight", "model.model.layers.0.self_attn.q_proj.weight"}
    assert sum(map(len, found.values())) == len(list(Whole().parameters()))


def test_a_tied_head_and_frozen_weights_are_counted_once_and_not_at_all():
    model = llama("30k")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    model.model.norm.weight.requires_grad_(False)
    found = names_by_kind(model)
    assert found["embeddings"] == {"model.embed_tokens.weight"}
    assert "model.norm.weight" not in found["norms"]


def test_no_decay_says_what_never_decays():
    model = llama("30k")
    ends = {id(model.lm_head.weight), id(model.model.embed_tokens.weight)}
    decayed, plain = AdamW().build(model).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 2 and id(p) not in ends for p in decayed["params"])
    decayed, plain = AdamW(no_decay=["norms"]).build(model).param_groups
    assert ends <= {id(p) for p in decayed["params"]}
    assert all(p.ndim == 1 for p in plain["params"])
    decayed, _ = AdamW(no_decay=["matrices"]).build(model).param_groups
    assert {p.ndim for p in decayed["params"]} == {1, 2}
    assert {id(p) for p in decayed["params"] if p.ndim == 2} == ends


def test_a_group_without_parameters_is_left_out():
    model = llama("30k")
    assert [len(g["params"]) > 0 for g in AdamW(no_decay=[]).build(model).param_groups] == [True]
    assert len(Muon().build(model).param_groups) == 2  # matrices; embeddings and norms, which do not decay


def test_the_lr_reaches_every_group_with_its_scale_also_where_it_is_a_tensor():
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "lr_scale": s} for s in (0.5, 2.0)], lr=1.0)
    tensor = torch.tensor(1.0)
    optimizer.param_groups[1]["lr"] = tensor
    set_lr(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert optimizer.param_groups[1]["lr"] is tensor
    assert tensor.item() == 0.5


def test_the_usual_groups_leave_the_identity_of_older_runs():
    older = {
        "variant": "adamw",
        "peak_lr": 1e-3,
        "clip": 1.0,
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
        "weight_decay": 0.1,
    }
    assert AdamW().identity() == older
    assert AdamW(no_decay=["embeddings", "biases", "norms"]).identity() == older
    assert AdamW(no_decay=["norms"]).identity() == older | {"no_decay": ["norms"]}
