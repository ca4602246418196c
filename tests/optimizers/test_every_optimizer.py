"""What holds for all optimizers: they learn, go on after a restart as if there was none, and take the LR they are given."""

import copy

import pytest
import torch
from known_model import EVERY, Machine, llama, loss_of, steps

from cptlab.errors import UserError
from cptlab.optimizers.adamw import AdamW
from cptlab.optimizers.groups import set_lr
from cptlab.schedules.constant import Constant

NAMES = list(EVERY)


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_lower_the_loss(name):
    model, variant = llama(), EVERY[name]
    losses = steps(model, variant.build(model), variant, 10)
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_and_loaded_optimizer_goes_on_bit_for_bit(name):
    model, variant = llama(), EVERY[name]
    built = variant.build(model)
    steps(model, built, variant, 4)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(built.state_dict())
    undisturbed = steps(model, built, variant, 4)
    other = llama("300k")
    other.load_state_dict(weights)
    rebuilt = variant.build(other)
    rebuilt.load_state_dict(state)
    assert steps(other, rebuilt, variant, 4) == undisturbed
    for got, expected in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_holds_tensors_and_plain_values_only(name):
    model, variant = llama("30k"), EVERY[name]
    built = variant.build(model)
    steps(model, built, variant, 1)

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for entry in value.values() for leaf in leaves(entry)]
        return [leaf for entry in value for leaf in leaves(entry)] if isinstance(value, list | tuple) else [value]

    found = leaves(built.state_dict())
    assert len(found) > 50
    assert all(leaf is None or isinstance(leaf, torch.Tensor | float | int | str) for leaf in found)


@pytest.mark.parametrize("name", NAMES)
def test_an_lr_of_zero_moves_nothing(name):
    model, variant = llama("30k"), EVERY[name]
    built = variant.build(model)
    before = copy.deepcopy(model.state_dict())
    loss_of(model).backward()
    set_lr(built, 0.0)
    built.step()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_laptop_and_a_constant_schedule_go_with_every_optimizer(name):
    EVERY[name].check(Machine())
    EVERY[name].check_schedule(Constant())
    assert EVERY[name].identity()["variant"] == EVERY[name].variant_name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peak_lr": 0.0}, r"optimizer\.peak_lr is 0"),
        ({"clip": -1.0}, r"optimizer\.clip is -1"),
        ({"beta2": 1.0}, r"optimizer\.beta2 is 1"),
        ({"eps": 0.0}, r"optimizer\.eps is 0"),
        ({"weight_decay": -0.1}, r"optimizer\.weight_decay is -0\.1"),
        ({"no_decay": ["norm"]}, r"optimizer\.no_decay names norm\. Did you mean norms"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(fields, message):
    with pytest.raises(UserError, match=message):
        AdamW(**fields)


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("adamw8bit", "lion8bit", "galore", "schedule_free"):
        with pytest.raises(
            UserError, match=rf"optimizer={name}.* is not installed; pip install 'cptlab\[low_precision\]'"
        ):
            EVERY[name].check(Machine())
