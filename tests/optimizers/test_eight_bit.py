"""8-bit states: near fp32, a quarter of the bytes, refused where they cannot be."""

import pytest
import torch
from known_model import EVERY, Machine, one_weight

from cptlab.errors import UserError
from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.adamw8bit import AdamW8bit
from cptlab.optimizers.lion8bit import Lion8bit


def descend(variant, number=100):
    """Distance to the target after each step on a quadratic of 8192 weights, and the optimizer."""
    module, target = one_weight(64, 128)
    built = variant.build(module)
    path = []
    for _ in range(number):
        module.weight.grad = module.weight.detach() - target
        built.step()
        path.append((module.weight.detach() - target).norm())
    return torch.stack(path), module.weight.detach(), built


@pytest.mark.parametrize("library", ["bitsandbytes", "torchao"])
def test_8_bit_adamw_descends_a_quadratic_like_fp32(library):
    exact, weight, _ = descend(AdamW(peak_lr=1e-2))
    path, coarse, _ = descend(AdamW8bit(peak_lr=1e-2, library=library))
    assert exact[-1] < 0.6 * exact[0]
    torch.testing.assert_close(path, exact, rtol=0.01, atol=0)
    assert 0 < (coarse - weight).square().mean().sqrt() < 0.06  # of a way of up to 1


@pytest.mark.parametrize("library", ["bitsandbytes", "torchao"])
def test_8_bit_states_take_a_quarter_of_the_bytes(library):
    _, _, built = descend(AdamW8bit(library=library), 1)
    state = next(iter(built.state.values()))

    def size(value):
        parts = [getattr(value, name) for name in ("codes", "scale")] if hasattr(value, "codes") else [value]
        return sum(part.numel() * part.element_size() for part in parts)

    maps = {"qmap1", "qmap2", "step"}  # code books, one of 256 numbers for all tensors
    bytes_8 = sum(size(value) for name, value in state.items() if name not in maps and isinstance(value, torch.Tensor))
    assert bytes_8 / (2 * 4 * 8192) < 0.27


def test_small_tensors_keep_fp32_states():
    module, gradient = one_weight(8, 8)
    module.weight.grad = gradient
    built = AdamW8bit().build(module)
    built.step()
    assert {v.dtype for v in built.state[module.weight].values() if isinstance(v, torch.Tensor)} == {torch.float32}


def test_lion_steps_by_the_sign_and_decays():
    module, gradient = one_weight(64, 128)
    before = module.weight.detach().clone()
    module.weight.grad = gradient
    Lion8bit(peak_lr=1e-3, weight_decay=0.5).build(module).step()
    torch.testing.assert_close(
        module.weight.detach(), before * (1 - 1e-3 * 0.5) - 1e-3 * gradient.sign(), rtol=1e-5, atol=1e-6
    )


def test_lions_momentum_of_8_bits_gives_almost_always_the_sign_of_fp32():
    module, _ = one_weight(64, 128)
    built = Lion8bit(peak_lr=1e-3, weight_decay=0.0).build(module)
    exact, momentum, differing = module.weight.detach().clone(), torch.zeros(64, 128), []
    for seed in range(20):
        gradient = one_weight(64, 128, seed=seed)[1]
        before = module.weight.detach().clone()
        module.weight.grad = gradient.clone()
        built.step()
        sign = (0.9 * momentum + 0.1 * gradient).sign()
        momentum = 0.99 * momentum + 0.01 * gradient
        exact -= 1e-3 * sign
        differing.append(((before - module.weight.detach()).sign() != sign).float().mean().item())
    assert max(differing) < 0.02
    assert (exact - module.weight.detach()).square().mean().sqrt() < 1e-3


def test_bitsandbytes_under_sharding_is_refused_and_torchao_taken():
    for machine in (Machine(strategy="fsdp"), Machine(strategy="hsdp"), Machine(tensor_parallel=2)):
        with pytest.raises(
            UserError, match=r"optimizer\.library=bitsandbytes cannot hold sharded.*use optimizer\.library=torchao"
        ):
            AdamW8bit(library="bitsandbytes").check(machine)
        with pytest.raises(UserError, match=r"optimizer=lion8bit cannot hold sharded.*optimizer=adamw8bit"):
            Lion8bit().check(machine)
        AdamW8bit().check(machine)
        assert AdamW8bit().resolved_library(machine) == "torchao"
    assert AdamW8bit().resolved_library(Machine(strategy="ddp")) == "bitsandbytes"
    Lion8bit().check(Machine(strategy="ddp"))


@pytest.mark.parametrize("make", [AdamW8bit, Lion8bit])
def test_paging_needs_a_gpu_and_bitsandbytes(make):
    with pytest.raises(UserError, match=r"optimizer\.paged=true needs whole parameters on a GPU"):
        make(paged=True).check(Machine())
    make(paged=True).check(Machine(accelerator="gpu"))
    with pytest.raises(UserError, match="bitsandbytes' own"):
        AdamW8bit(paged=True, library="torchao")


def test_auto_builds_bitsandbytes_optimizer_for_whole_parameters():
    module, _ = one_weight(8, 8)
    assert type(EVERY["adamw8bit"].build(module)).__module__.startswith("bitsandbytes")
    assert "EightBitAdamW" in type(EVERY["adamw8bit_torchao"].build(module)).__name__
