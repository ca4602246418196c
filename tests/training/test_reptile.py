"""The Reptile step alone: its ends are exact, and over orders of batches it seeks gradients that agree."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cptlab.replay.mer import MER
from cptlab.training.kept import kept_of
from cptlab.training.reptile import Reptile


def made(value, rate, every=1):
    """A module of one weight, and its Reptile, placed."""
    network = nn.Module()
    network.weight = nn.Parameter(value.clone())
    module, reptile = SimpleNamespace(network=network, step=0), Reptile(MER(every=every, rate=rate))
    reptile.place(module)
    return module, reptile


def test_every_k_steps_the_weight_goes_back_and_the_anchor_follows():
    module, reptile = made(torch.tensor([1.0, 2.0]), rate=0.25, every=2)
    for step, expected in [(1, [2, 3]), (2, [1.5, 2.5]), (3, [2.5, 3.5]), (4, [2.0, 3.0])]:
        module.network.weight.data += 1
        module.step = step
        reptile.after_update(module)
        assert module.network.weight.tolist() == expected
    assert kept_of(module.network).local("reptile")[0].tolist() == [2, 3]


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_both_ends_are_exact(rate):
    start, way = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).unbind()
    module, reptile = made(start, rate)
    module.network.weight.data += way
    moved = module.network.weight.detach().clone()
    module.step = 1
    reptile.after_update(module)
    assert module.network.weight.equal(moved if rate else start)


def test_the_mean_move_of_two_steps_has_half_lr_squared_times_the_gradient_of_the_inner_product():
    """Riemer et al. 2019, appendix: Reptile seeks gradients that agree; joint SGD has no such term."""
    draw = torch.Generator().manual_seed(1)
    start, rate = torch.randn(4, generator=draw, dtype=torch.float64), 0.5
    inputs = torch.randn(2, 3, 4, generator=draw, dtype=torch.float64)

    def loss(weight, batch):
        return torch.tanh(inputs[batch] @ weight).square().sum() + (inputs[batch] @ weight).exp().mean()

    def gradient(weight, batch, graph=False):
        weight = weight if graph else weight.detach().requires_grad_()
        return torch.autograd.grad(loss(weight, batch), weight, create_graph=graph)[0]

    def mean_move(lr):
        moves = []
        for order in ((0, 1), (1, 0)):
            module, reptile = made(start, rate, every=2)
            for step, batch in enumerate(order, 1):
                weight = module.network.weight.data
                weight -= lr * gradient(weight, batch)
                module.step = step
                reptile.after_update(module)
            moves.append(module.network.weight.detach() - start)
        return (moves[0] + moves[1]) / 2

    leaf = start.clone().requires_grad_()
    g1, g2 = (gradient(leaf, batch, graph=True) for batch in (0, 1))
    aligned = torch.autograd.grad(g1 @ g2, leaf)[0]
    for lr in (1e-3, 1e-4):
        extra = mean_move(lr) / rate + lr * (g1 + g2).detach()
        assert (extra - lr**2 / 2 * aligned).norm() < 30 * lr * (lr**2 / 2 * aligned).norm()
    assert aligned.norm() > 1
