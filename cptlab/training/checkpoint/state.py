"""What a checkpoint keeps of weights and optimizer, under names that no wrapper changes.

Frozen weights are left out: where only an adapter trains, its weights alone are kept, and the base is loaded as ever.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from cptlab.training.checkpoint.tree import Tensors, join, split
from cptlab.training.parallel.gather import bare

KEPT = "kept."  # training/kept.py
WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")  # of compile, recomputation, FSDP


def is_sharded(network: nn.Module) -> bool:
    """Whether a process holds parts of the weights only."""
    return any(isinstance(parameter, DTensor) for parameter in network.parameters())


def trained_names(network: nn.Module) -> set[str] | None:
    """Canonical names of what is trained; None where nothing is frozen."""
    named = dict(network.named_parameters())
    if all(parameter.requires_grad for parameter in named.values()):
        return None
    kept = {name for name, _ in network.named_buffers() if name.startswith(KEPT)}  # sized like what is trained
    return {canonical(name) for name, parameter in named.items() if parameter.requires_grad} | kept


def canonical(name: str) -> str:
    """A parameter's name without what wrappers add to it."""
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def take(network: nn.Module, optimizer: Optimizer, full: bool) -> tuple[dict[str, Any], Tensors]:
    """(plain JSON, tensors by name). full: whole tensors on the CPU, on the first process alone if they are sharded.

    A tensor may be the live one: write it before the next step.
    """
    gather = full and is_sharded(network)
    options = StateDictOptions(full_state_dict=gather, cpu_offload=gather)
    model = cast("dict[str, Any]", get_model_state_dict(network, options=options))
    if (trained := trained_names(network)) is not None:
        model = {name: value for name, value in model.items() if name in trained}
    with torch.no_grad():
        model = {name: bare(value) if isinstance(value, Tensor) else value for name, value in model.items()}
    model_plain, tensors = split(model, "model")
    for parameter in [parameter for parameter, state in optimizer.state.items() if not state]:
        del optimizer.state[parameter]  # looked at (schedule-free), not begun: torch would take it for begun
    states = get_optimizer_state_dict(network, optimizer, options=options)
    optimizer_plain, optimizer_tensors = split(states, "optimizer")
    return {"model": model_plain, "optimizer": optimizer_plain}, tensors | optimizer_tensors


def put(
    network: nn.Module, optimizer: Optimizer, plain: dict[str, Any], tensors: dict[str, Tensor], full: bool
) -> None:
    """Give weights and optimizer what `take` took. full: the tensors are whole, the network's may be shards."""
    options = put_optimizer(network, optimizer, plain, tensors, full)
    # The weights last: an optimizer without state takes an empty step to make one.
    set_model_state_dict(network, join(plain["model"], tensors), options=options)


def put_optimizer(
    network: nn.Module, optimizer: Optimizer, plain: dict[str, Any], tensors: dict[str, Tensor], full: bool
) -> StateDictOptions:
    """Of `put` the optimizer's part; it may move the weights by a step without a gradient and of LR 0."""
    options = StateDictOptions(full_state_dict=full and is_sharded(network), strict=trained_names(network) is None)
    set_optimizer_state_dict(network, optimizer, join(plain["optimizer"], tensors), options=options)
    return options
