"""Tensors like the trained weights that a method keeps beside them: where the run started, importances, anchors.

They are buffers of the network (not of the model in it), each sharded as its weight is: a checkpoint holds them, and
another number of processes finds its part of them, as of the weights; a saved model does not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

NAME = "kept"  # of the module in the network; checkpoint/state.py keeps what begins with it


class Kept(nn.Module):
    """Made once the network is sharded and in its place. Lists are in the order of the trained weights."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.weights = [trained]  # in a list: they are the network's already

    @property
    def names(self) -> list[str]:
        """Of the trained weights, in the network."""
        return list(self.weights[0])

    def add(self, kind: str, make: Callable[[Tensor], Tensor], offload: bool = False) -> None:
        """Keep make(weight), of the weight's shape and placement, of every trained weight; on the CPU if asked."""
        for name, weight in self.weights[0].items():
            tensor = make(weight.detach())
            self.register_buffer(place(kind, name), tensor.cpu() if offload else tensor)

    def whole(self, kind: str) -> dict[str, Tensor]:
        """{weight: the kept tensor}, sharded ones as DTensor."""
        return {name: self.get_buffer(place(kind, name)) for name in self.names}

    def local(self, kind: str) -> list[Tensor]:
        """This process' parts; in-place changes are seen by all."""
        return [local(tensor) for tensor in self.whole(kind).values()]

    def local_weights(self) -> list[Tensor]:
        """This process' parts of the trained weights themselves."""
        return [local(weight.detach()) for weight in self.weights[0].values()]

    def local_gradients(self) -> list[Tensor]:
        """This process' parts of their gradients, zeros made where there is none."""
        for weight in self.weights[0].values():
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        return [local(weight.grad) for weight in self.weights[0].values() if weight.grad is not None]

    @torch.no_grad()
    def exchange(self, kind: str) -> None:
        """The kept tensors and the weights change places."""
        for weight, other in zip(self.local_weights(), self.local(kind), strict=True):
            own = weight.clone()
            weight.copy_(other)
            other.copy_(own)


def kept_of(network: nn.Module) -> Kept:
    """The network's, made on the first call."""
    if not hasattr(network, NAME):
        setattr(network, NAME, Kept(network))
    found = getattr(network, NAME)
    assert isinstance(found, Kept)
    return found


def local(tensor: Tensor) -> Tensor:
    """This process' part of a tensor, sharing its memory."""
    with torch.no_grad():
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(weight: Tensor, whole: Tensor) -> Tensor:
    """A whole tensor, which every process has, placed and sharded as the weight is."""
    whole = whole.to(weight.device, weight.dtype)
    if isinstance(weight, DTensor):
        return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)
    return whole


def place(kind: str, name: str) -> str:
    """Name of the buffer; dots would mean submodules."""
    return f"{kind}/{name.replace('.', '/')}"
