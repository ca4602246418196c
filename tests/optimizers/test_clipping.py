"""Clipping by the global norm, worked by hand."""

import pytest
import torch
from torch import nn

from cptlab.optimizers.clipping import clip_gradients


def weights(*gradients):
    found = [nn.Parameter(torch.zeros(len(g))) for g in gradients]
    for parameter, gradient in zip(found, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    return [*found, nn.Parameter(torch.zeros(2))]  # one without a gradient


@pytest.mark.parametrize(("max_norm", "factor"), [(1.0, 1 / 13), (26.0, 1.0), (0.0, 1.0)])
def test_the_joint_norm_is_bounded_and_the_old_one_returned(max_norm, factor):
    parameters = weights([3.0, 4.0], [12.0])
    assert clip_gradients(parameters, max_norm).item() == 13.0
    torch.testing.assert_close(parameters[0].grad, torch.tensor([3.0, 4.0]) * factor, rtol=1e-5, atol=0)
    torch.testing.assert_close(parameters[1].grad, torch.tensor([12.0]) * factor, rtol=1e-5, atol=0)


def test_it_is_torchs_own_clipping_to_the_bit():
    gradients = [torch.randn(50, generator=torch.Generator().manual_seed(i)).tolist() for i in range(5)]
    ours, theirs = weights(*gradients), weights(*gradients)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.7)
    assert torch.equal(clip_gradients(ours, 0.7), norm)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(ours[:-1], theirs[:-1], strict=True))


def test_without_gradients_the_norm_is_zero():
    assert clip_gradients(weights(), 1.0).item() == 0.0
