"""A-GEM and GEM: hand-computed projections, and the optimum against one found by search."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from cptlab.replay.agem import AGEM
from cptlab.replay.gem import GEM
from cptlab.training.projection import Projection, gem_multipliers, gram


def projected(replay, *gradients):
    """The gradient that a step takes, of gradients as rows."""
    weight = torch.nn.Parameter(torch.zeros(len(gradients[0])))
    lists = [[torch.tensor(gradient, dtype=torch.float32)] for gradient in gradients]
    Projection(replay, 2).project(lists, [weight])
    return weight.grad


def test_agem_takes_out_what_goes_against_the_replayed_rows_and_nothing_else():
    torch.testing.assert_close(projected(AGEM(), [1, 0], [-1, 1]), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(projected(AGEM(), [1, 0], [1, 1]), torch.tensor([1.0, 0]))
    torch.testing.assert_close(projected(AGEM(), [1, 0], [0, 0]), torch.tensor([1.0, 0]))  # nothing was replayed


def test_gem_with_one_constraint_is_agem():
    torch.testing.assert_close(projected(GEM(), [1, 0], [-1, 1]), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(projected(GEM(), [1, 0], [1, 1]), torch.tensor([1.0, 0]))


def test_a_margin_helps_old_text_even_where_nothing_is_against_it():
    torch.testing.assert_close(projected(GEM(margin=0.5), [1, 0], [0, 2]), torch.tensor([1.0, 1]))


@given(seed=st.integers(0, 999), constraints=st.integers(1, 4))
def test_gems_gradient_meets_all_constraints_and_is_the_nearest_that_does(seed, constraints):
    draw = np.random.default_rng(seed)
    g, against = draw.normal(size=6), draw.normal(size=(constraints, 6))
    stacked = np.vstack([g, against])
    v = gem_multipliers(stacked @ stacked.T, 0.0)
    step = g + v @ against
    assert (v >= 0).all()
    assert (against @ step > -1e-6).all()
    found = minimize(
        lambda w: 0.5 * np.sum((g + w @ against) ** 2), np.ones(constraints), bounds=[(0, None)] * constraints,
        jac=lambda w: against @ (g + w @ against), options={"ftol": 1e-14, "gtol": 1e-10},
    )  # fmt: skip
    assert np.sum(step**2) / 2 == pytest.approx(found.fun, abs=1e-6)


def test_inner_products_go_over_all_weights():
    first = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
    second = [torch.tensor([0.0, -1.0]), torch.tensor([[2.0]])]
    assert gram([first, second]).tolist() == [[14, 4], [4, 5]]


def test_rows_are_sorted_into_mixture_and_replay_or_by_corpus():
    rows = {"replayed": torch.tensor([False, True, True, False]), "corpus": torch.tensor([1, 0, 1, 1]),
            "labels": torch.arange(8).view(4, 2)}  # fmt: skip

    class Alone:
        trainer = type("T", (), {"world_size": 1})

    two = Projection(AGEM(), 2).groups(rows, Alone())
    assert {group: part["labels"][:, 0].tolist() for group, part in two.items()} == {0: [0, 6], 1: [2, 4]}
    three = Projection(GEM(), 2).groups(rows, Alone())
    assert {group: part["labels"][:, 0].tolist() for group, part in three.items()} == {0: [0, 6], 1: [2], 2: [4]}
