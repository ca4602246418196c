"""Penalties against hand-computed values and closed forms; what cannot work is refused before training."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.regularizers.ewc import EWC
from cptlab.regularizers.kl_to_base import KLToBase
from cptlab.regularizers.l2_to_base import L2ToBase
from cptlab.regularizers.none import NoRegularizer
from cptlab.regularizers.rwalk import RWalk
from cptlab.regularizers.si import SI
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_l2_pulls_every_weight_alike_and_ewc_by_its_fisher_information():
    weight, anchor, fisher = row(1, 2, -1), row(0, 4, -1), row(3, 0.5, 7)
    torch.testing.assert_close(L2ToBase(strength=0.1).pull(weight, anchor), row(0.1, -0.2, 0))
    torch.testing.assert_close(EWC(strength=2).pull(weight, anchor, fisher), row(6, -2, 0))
    assert weight.tolist() == [1, 2, -1]  # nothing is changed in place


def test_the_pull_of_a_path_regularizer_is_the_gradient_of_its_penalty():
    weight, anchor, omega = row(1.0, -2.0).requires_grad_(), row(0.5, 1), row(2, 3)
    (0.3 * (omega * (weight - anchor) ** 2).sum()).backward()
    torch.testing.assert_close(SI(strength=0.3).pull(weight.detach(), anchor, omega), weight.grad)


@given(strength=st.floats(0.1, 10), target=st.floats(-3, 3), seed=st.integers(0, 99))
def test_ewcs_minimiser_on_a_quadratic_is_the_fisher_weighted_mean(strength, target, seed):
    draw = torch.Generator().manual_seed(seed)
    curvature, fisher = (torch.rand(2, 5, generator=draw, dtype=torch.float64) + 0.1).unbind()
    anchor = torch.randn(5, generator=draw, dtype=torch.float64)
    regularizer, weight = EWC(strength=strength), anchor.clone()
    for _ in range(600):  # gradient descent on curvature / 2 (w - target)^2, a step below 2 / (largest curvature)
        weight -= (curvature * (weight - target) + regularizer.pull(weight, anchor, fisher)) / (1.1 + 1.1 * strength)
    mean = (curvature * target + strength * fisher * anchor) / (curvature + strength * fisher)
    torch.testing.assert_close(weight, mean, rtol=1e-6, atol=1e-6)


def test_si_adds_up_what_each_weight_gave_and_divides_by_its_way():
    si = SI(damping=0.5)
    kept = {"anchor": row(0, 0), "importance": row(1, 0), "path": row(0, 0)}
    si.stepped(kept, row(2, -1), row(-0.5, -0.5), row(-0.5, -0.5), step=1)  # gains: 1, -0.5
    si.stepped(kept, row(1, 1), row(-0.5, 0.25), row(-1, -0.25), step=2)  # gains: 0.5, -0.25
    torch.testing.assert_close(kept["path"], row(1.5, -0.75))
    left = si.finished(kept, row(-1, -0.25), {})
    torch.testing.assert_close(left["importance"], row(1 + 1.5 / 1.5, 0))  # a loss gives no importance


def test_the_path_of_si_adds_up_to_the_fall_of_the_loss():
    curvature, kept = row(1, 4), {"path": row(0, 0)}
    start = weight = row(2, -1)
    for step in range(4000):
        gradient = curvature * weight
        moved = -1e-3 * gradient
        weight = weight + moved
        SI().stepped(kept, gradient, moved, weight, step + 1)
    fall = curvature / 2 * (start**2 - weight**2)
    torch.testing.assert_close(kept["path"], fall, rtol=3e-3, atol=1e-6)


def test_rwalk_scores_a_stretch_by_its_gain_over_the_way_that_the_fisher_information_sees():
    walk = RWalk(decay=0.5, every=2, damping=0.25)
    kept = {kind: row(0) for kind in walk.kept}
    walk.seen(kept, row(2))  # F = .5 * 4
    walk.stepped(kept, row(2), row(-0.5), row(-0.5), step=1)
    assert kept["score"] == 0
    walk.seen(kept, row(1))  # F = .5 * 1 + .5 * 2
    walk.stepped(kept, row(1), row(-0.5), row(-1), step=2)
    assert kept["fisher"] == 1.5
    assert kept["score"] == 1.5 / (1.5 * 1 / 2 + 0.25)  # gain 1 + .5 over a way of 1
    assert (kept["path"], kept["mark"]) == (0, -1)
    left = walk.finished(kept, row(-1), {"score": row(0.5)})
    assert left == {"fisher": row(1.5), "score": row(1)}  # the mean of .5 and 1.5
    scaled = walk.scaled({"fisher": row(1.5, 3), "score": row(1, -1)}, {"fisher": 3.0, "score": 2.0})
    torch.testing.assert_close(scaled["importance"], row(0.5 + 0.5, 1 + 0))


def test_without_a_regularizer_the_run_id_knows_of_none_and_where_things_wait_is_no_part_of_it():
    assert NoRegularizer().identity(None) == {}
    for make in (L2ToBase, EWC, SI, RWalk, KLToBase):
        assert make(offload=True).identity(None) == make().identity(None)
        assert make(strength=0.5).identity(None) != make(strength=0.6).identity(None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L2ToBase(strength=-1), r"regularizer\.strength is -1"),
        (lambda: EWC(rows=0), r"regularizer\.rows is 0; the Fisher information needs 1 row"),
        (lambda: EWC(labels="modle"), r"regularizer\.labels is modle\. Did you mean model\?"),
        (lambda: SI(damping=0), r"regularizer\.damping is 0"),
        (lambda: RWalk(decay=0), r"regularizer\.decay is 0"),
        (lambda: RWalk(every=0), r"regularizer\.every is 0"),
        (lambda: KLToBase(top_k=0), r"regularizer\.top_k is 0"),
        (lambda: KLToBase(rows="repleyed"), r"Did you mean replayed\?"),
        (lambda: KLToBase().check(NoReplay(), NoReplay()), r"replay is none; use replay=fixed"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_replayed_rows_are_enough_for_kl():
    assert KLToBase().check(FixedReplay(), FixedReplay()) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["regularizer=ewc", "data.general=", "mixture=domain_only", "mixture.domain=sums"],
         r"measures the Fisher information on old text and the study names none; set regularizer\.corpus or data\.gene"),
        (["regularizer=ewc", "regularizer.corpus=proze"], r"regularizer\.corpus is proze, no corpus here\. Did you mean prose"),
        (["regularizer=kl_to_base"], r"compares with the base on replayed rows and replay is none"),
        (["regularizer=kl_to_base", "replay=agem"], r"replay=agem does not train on them.*set regularizer\.rows=all, or us"),
        (["regularizer=kl_to_base", "replay=gem"], r"would minimise nothing: replay=gem does not train on them"),
        (["regularizer=kl_to_base", "regularizer.source=stored", "replay=adaptive"], r"use regularizer\.source=pass"),
        (["regularizer=si", "regularizer.importance=nowhere.safetensors"], r"there is no file nowhere\.safetensors"),
        (["replay=mer", "optimizer=schedule_free"], r"optimizer=schedule_free keeps others of its own"),
        (["replay=mer", "replay.source=buffer", "replay.corpus=prose"], r"replay\.source=buffer draws from rows already"),
        (["replay=mer", "replay.rate=1.5"], r"replay\.rate is 1\.5; it must lie in \[0, 1\]"),
        (["replay=mer", "replay.every=11"], r"replay\.every is 11 steps but the run has 10, so no Reptile step"),
        (["replay=agem", "replay.replay_share=0.9"], r"leaves some steps of rows_per_step=4 no row of the mixture"),
        (["replay=gem", "replay.margin=-1"], r"replay\.margin is -1"),
    ],
)  # fmt: skip
def test_what_has_nothing_to_work_on_is_refused_before_training(study, overrides, message):
    with pytest.raises(UserError, match=message):
        open_point(compose_point([*study, *overrides]))
