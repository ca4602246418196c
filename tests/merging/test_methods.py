"""Merges of small vectors, worked by hand, and what holds for all of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cptlab.errors import UserError
from cptlab.merging.methods import chat_vector, linear, slerp, ties, trimmed
from cptlab.merging.recipe import Recipe

ROWS = arrays(np.float64, (4, 3), elements=st.floats(-8, 8))


def v(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def close(got, *numbers):
    torch.testing.assert_close(got, v(*numbers))


def test_linear_is_the_weighted_sum():
    close(linear([v(1, 2), v(3, 6)], [0.25, 0.75]), 2.5, 5)


def test_slerp_goes_along_the_arc():
    half = math.sqrt(0.5)
    close(slerp(v(1, 0), v(0, 1), 0.5), half, half)
    close(slerp(v(1, 0), v(0, 1), 1 / 3), math.cos(math.pi / 6), math.sin(math.pi / 6))
    close(slerp(v(2, 0), v(0, 4), 0.5), 2 * half, 4 * half)  # directions by the angle, lengths as they are


def test_slerp_of_parallel_or_empty_tensors_is_a_line():
    close(slerp(v(1, 1), v(3, 3), 0.5), 2, 2)
    close(slerp(v(0, 0), v(2, 4), 0.5), 1, 2)


def test_a_chat_vector_is_added():
    close(chat_vector(v(5, 5), v(3, 1), v(1, 1), 0.5), 6, 5)


def test_ties_trims_elects_and_averages_those_that_agree():
    base = v(1, 1, 1, 1)
    one = base + v(4, -3, 0.1, 2)  # half of each stays: 4, -3
    two = base + v(2, 1, 0.2, -6)  # 2, -6
    # signs of the sums (6, -3, 0, -6): the mean over those that have them is (3, -3, 0, -6)
    close(ties(base, [one, two], 0.5), 4, -2, 1, -5)
    close(ties(base, [one, two], 0.5, scale=0.5), 2.5, -0.5, 1, -2)


def test_changes_that_cancel_leave_the_base():
    close(ties(v(1, 1), [v(3, 2), v(-1, 2)], 1.0), 1, 2)


def test_trimming_keeps_the_largest_share():
    close(trimmed(v(1, -4, 2, 3), 0.5), 0, -4, 0, 3)
    close(trimmed(v(1, -4, 2, 3), 1), 1, -4, 2, 3)
    close(trimmed(v(1, -4, 2, 3), 0.01), 0, -4, 0, 0)


@given(ROWS)
def test_a_weight_of_one_is_the_model_and_a_model_with_itself_too(rows):
    model, other = torch.from_numpy(rows), torch.from_numpy(rows[::-1].copy())
    assert torch.equal(linear([model, other], [1, 0]), model)
    torch.testing.assert_close(slerp(model, other, 0.0), model, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(slerp(model, other, 1.0), other, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(slerp(model, model, 0.3), model)
    assert torch.equal(chat_vector(model, other, other), model)
    assert torch.equal(chat_vector(model, other, model, 0.0), model)
    torch.testing.assert_close(chat_vector(model, other, model), other)  # CPT that changed nothing: instruct itself


@given(ROWS, st.floats(-2, 2))
def test_ties_of_one_model_untrimmed_is_task_arithmetic(rows, scale):
    base, model = torch.from_numpy(rows[:2]), torch.from_numpy(rows[2:])
    torch.testing.assert_close(ties(base, [model], 1.0, scale), base + scale * (model - base))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"method": "linear", "models": ("a", "b"), "weights": (1.0,)}, "1 numbers for 2 models"),
        ({"method": "linear", "models": ("a", "b"), "weights": (1.0, 1.0)}, "sum to 2"),
        ({"method": "slerp", "models": ("a",)}, "takes 2 models, 1 are given"),
        ({"method": "slerp", "models": ("a", "b"), "t": 1.5}, "--t is 1.5"),
        ({"method": "ties", "models": ("a",), "base": "b", "density": 0.0}, "--density is 0"),
        ({"method": "chat-vector", "models": ("a", "b")}, "takes 1 model, 2 are given"),
    ],
)
def test_a_wrong_recipe_is_refused(fields, match):
    with pytest.raises(UserError, match=match):
        Recipe(**fields)
