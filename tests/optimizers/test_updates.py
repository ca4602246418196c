"""One step of each optimizer against its formula."""

import math

import pytest
import torch
from known_model import Machine, llama, loss_of, one_weight, steps
from schedulefree import AdamWScheduleFree

from cptlab.errors import UserError
from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.galore import GaLore
from cptlab.optimizers.groups import set_lr
from cptlab.optimizers.muon import Muon
from cptlab.optimizers.schedule_free import ScheduleFree
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.wsd import WSD


def update(variant, shape, seed=0):
    """(weight before, gradient, what one step took away)."""
    module, gradient = one_weight(*shape, seed=seed)
    before = module.weight.detach().clone()
    module.weight.grad = gradient.clone()
    variant.build(module).step()
    return before, gradient, before - module.weight.detach()


def test_adamw_takes_two_steps_as_worked_by_hand():
    # g = 1 then 3, lr .1, decay .5, betas .5 and .75: m = .5, 1.75; v = .25, 2.4375
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    built = AdamW(peak_lr=0.1, beta1=0.5, beta2=0.75, weight_decay=0.5).build(module)
    expected = [0.95 - 0.1, 0.85 * 0.95 - 0.1 * (1.75 / 0.75) / math.sqrt(2.4375 / 0.4375)]
    for gradient, value in zip([1.0, 3.0], expected, strict=True):
        module.weight.grad = torch.full((1, 1), gradient)
        built.step()
        assert module.weight.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("adjust", "shape", "factor"),
    [
        ("match_rms_adamw", (48, 16), 0.2 * math.sqrt(48)),
        ("original", (48, 16), math.sqrt(3)),
        ("original", (16, 48), 1.0),
    ],
)
def test_a_muon_update_is_orthogonal_up_to_newton_schulz(adjust, shape, factor):
    variant = Muon(peak_lr=0.01, weight_decay=0.0, lr_adjust=adjust)
    _, gradient, moved = update(variant, shape)
    singular = torch.linalg.svdvals(moved / (0.01 * factor))
    assert 0.6 < singular.min() <= singular.max() < 1.25  # five quintic steps end in about [.7, 1.2]
    u, _, vh = torch.linalg.svd(gradient, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(moved.flatten(), (u @ vh).flatten(), dim=0) > 0.98


def test_muon_decays_by_the_lr_that_is_not_adjusted():
    before, _, moved = update(Muon(peak_lr=0.01, weight_decay=0.5), (48, 16))
    _, _, bare = update(Muon(peak_lr=0.01, weight_decay=0.0), (48, 16))
    torch.testing.assert_close(moved - bare, 0.01 * 0.5 * before, rtol=1e-3, atol=1e-6)


def test_what_is_no_hidden_matrix_takes_adamws_step_with_its_own_lr():
    model = llama("30k")
    ends = {"lm_head.weight", "model.embed_tokens.weight"}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    variant = Muon(peak_lr=1e-3, adamw_lr_scale=0.5)
    steps(model, variant.build(model), variant, 1)
    moved = {name: (before[name] - p.detach()).abs() for name, p in model.named_parameters()}
    for name in before:
        if name in ends or before[name].ndim == 1:
            assert moved[name].max().item() == pytest.approx(0.5e-3, rel=1e-2), name  # first step of Adam: lr sign(g)
        else:
            rms = moved[name].square().mean().sqrt().item()
            assert rms == pytest.approx(0.2e-3, rel=0.3), name  # what match_rms_adamw is named after


@pytest.mark.parametrize("shape", [(24, 16), (16, 24)])
def test_a_galore_update_has_its_rank_and_its_small_state(shape):
    variant = GaLore(peak_lr=0.1, rank=4, scale=0.25, weight_decay=0.0)
    _, gradient, moved = update(variant, shape)
    assert torch.linalg.matrix_rank(moved, rtol=1e-5).item() == 4
    u, _, vh = torch.linalg.svd(gradient, full_matrices=False)
    if shape[0] > shape[1]:  # the shorter side is projected
        expected = (gradient @ vh[:4].T).sign() @ vh[:4]
    else:
        expected = u[:, :4] @ (u[:, :4].T @ gradient).sign()
    torch.testing.assert_close(moved, 0.1 * 0.25 * expected, rtol=1e-3, atol=1e-5)
    module, gradient = one_weight(*shape)
    module.weight.grad = gradient
    built = variant.build(module)
    built.step()
    state = built.state_dict()["state"][0]
    assert state["exp_avg"].numel() == state["exp_avg_sq"].numel() == 4 * 24
    assert state["projection"].numel() == 4 * 16


def test_galore_renews_its_projection_after_the_gap():
    module, _ = one_weight(12, 8)
    built = GaLore(rank=2, update_gap=2).build(module)
    seen = []
    for seed in range(4):
        module.weight.grad = one_weight(12, 8, seed=seed)[1]
        built.step()
        seen.append(built.state_dict()["state"][0]["projection"].clone())
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.allclose(seen[1], seen[2])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_galore_on_many_devices_is_refused_with_the_alternative(strategy):
    with pytest.raises(UserError, match=rf"machine\.strategy={strategy}; take optimizer=adamw8bit"):
        GaLore().check(Machine(strategy=strategy))


def test_schedule_free_evaluates_the_papers_average():
    # f(w) = w^2 / 2, the recursion of the paper's eq. 5-7 with Adam's normalisation written out
    lr, beta1, beta2, eps, x, z, v = 0.1, 0.9, 0.95, 1e-8, 2.0, 2.0, 0.0
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 2.0)
    built = ScheduleFree(peak_lr=lr, beta1=beta1, beta2=beta2, weight_decay=0.0).build(module)
    for k in range(1, 8):
        y = (1 - beta1) * z + beta1 * x
        assert module.weight.item() == pytest.approx(y, rel=1e-5)
        module.weight.grad = module.weight.detach().clone()
        built.step()
        v = beta2 * v + (1 - beta2) * y**2
        z -= lr * y / (math.sqrt(v / (1 - beta2**k)) + eps)
        x = (1 - 1 / k) * x + z / k
    built.eval()
    assert module.weight.item() == pytest.approx(x, rel=1e-5)
    built.train()
    assert module.weight.item() == pytest.approx((1 - beta1) * z + beta1 * x, rel=1e-5)


def test_a_warm_up_from_the_schedule_is_the_packages_own():
    ours, theirs = llama("30k"), llama("30k")
    mine = ScheduleFree(weight_decay=0.0).build(ours)
    own = AdamWScheduleFree(theirs.parameters(), lr=1e-2, betas=(0.9, 0.95), warmup_steps=4)
    own.train()
    for k in range(6):
        set_lr(mine, 1e-2 * min((k + 1) / 4, 1))
        for model, built in ((ours, mine), (theirs, own)):
            loss_of(model).backward()
            built.step()
            built.zero_grad()
    mine.eval()
    own.eval()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_schedule_free_refuses_a_decaying_lr_and_takes_a_warm_up():
    for schedule in (Cosine(), WSD()):
        with pytest.raises(UserError, match="schedule_free replaces the decay"):
            ScheduleFree().check_schedule(schedule)
    ScheduleFree().check_schedule(Constant(warmup_tokens=1e6))
    ScheduleFree().check_schedule(WSD(decay_share=0.0))
    with pytest.raises(UserError, match=r"optimizer\.beta1 is 0"):
        ScheduleFree(beta1=0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Muon(lr_adjust="match_rms"), r"optimizer\.lr_adjust is match_rms\. Did you mean match_rms_adamw"),
        (lambda: Muon(ns_steps=0), r"optimizer\.ns_steps is 0"),
        (lambda: Muon(momentum=1.0), r"optimizer\.momentum is 1"),
        (lambda: Muon(adamw_lr_scale=0.0), r"optimizer\.adamw_lr_scale is 0"),
        (lambda: GaLore(rank=0), r"optimizer\.rank is 0"),
        (lambda: GaLore(side="rihgt"), r"optimizer\.side is rihgt\. Did you mean right"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(make, message):
    with pytest.raises(UserError, match=message):
        make()
