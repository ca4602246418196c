"""How much is masked when, and the mean of the active parameters, by hand."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.records.flat_rows import flat, rows_of
from cptlab.records.run import EvalRow
from cptlab.sparsity.gradual import Gradual
from cptlab.sparsity.none import NoSparsity
from cptlab.sparsity.spdf import SPDF


def test_gradual_pruning_follows_the_cubic_between_a_quarter_and_three_quarters():
    got = Gradual(sparsity=0.5).masked(np.array([0, 0.25, 0.375, 0.5, 0.75, 1]))
    np.testing.assert_allclose(got, [0, 0, 0.5 * 37 / 64, 0.4375, 0.5, 0.5])


def test_the_papers_schedule_to_half_has_0_6875_of_the_parameters_in_the_mean():
    steps, size = 20_000, 1_000_000
    mean = Gradual(sparsity=0.5).mean_params(size, [size], steps)[-1]
    assert mean / size == pytest.approx(0.6875, abs=2e-5)  # 1/4 + 1/2 (1 - 1/2 * 3/4) + 1/4 * 1/2


def test_the_mean_of_four_steps_by_hand_counts_what_each_step_had_and_leaves_dense_parameters_alone():
    # in force in steps 1 to 4: 0, 0, .4375 and .5 of 160 and of 16 weights: 0, 0, 70 + 7, 80 + 8
    mean = Gradual(sparsity=0.5).mean_params(200, [160, 16], 4)
    np.testing.assert_allclose(mean, [200, 200, 200, (600 - 77) / 3, (800 - 77 - 88) / 4])


def test_masks_grow_only_every_so_many_steps_and_at_the_end_of_pruning():
    in_force = Gradual(sparsity=0.5, every=3).in_force(10)
    plain = Gradual(sparsity=0.5).in_force(10)
    np.testing.assert_allclose(in_force, plain[[0, 0, 0, 3, 3, 3, 6, 6, 8, 9, 9]])
    assert in_force[8] == 0.5


def test_spdf_masks_up_to_its_switch_and_nothing_from_there():
    np.testing.assert_allclose(SPDF(sparsity=0.75, dense_from=0.5).in_force(4), [0.75, 0.75, 0, 0, 0])
    np.testing.assert_allclose(SPDF(sparsity=0.75, dense_from=1).in_force(2), [0.75, 0.75, 0.75])
    np.testing.assert_allclose(
        SPDF(sparsity=0.75, dense_from=0.5).mean_params(100, [80], 4)[-1], (2 * 40 + 2 * 100) / 4
    )


def test_no_sparsity_has_all_parameters_and_no_identity():
    assert NoSparsity().mean_params(7, [5], 3).tolist() == [7] * 4
    assert NoSparsity().identity() == {}


@given(
    st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1), st.integers(1, 7), st.integers(1, 50), st.integers(1, 1000)
)
def test_gradual_masks_never_shrink_and_end_at_the_target(sparsity, one, other, every, steps, size):
    variant = Gradual(sparsity=sparsity, start=min(one, other), end=max(one, other), every=every)
    shares = variant.in_force(steps)
    assert (np.diff(shares) >= -1e-12).all()
    assert shares[-1] == pytest.approx(sparsity)
    mean = variant.mean_params(size, [size], steps)
    assert (size - variant.num_masked(size, sparsity) <= mean + 1e-9).all()
    assert (mean <= size).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gradual(sparsity=1.0), r"sparsity\.sparsity is 1\.0; it must lie in \[0, 1\)"),
        (lambda: Gradual(start=0.8), r"sparsity\.end is 0\.75; it must lie in \[0\.8, 1\]"),
        (lambda: Gradual(every=0), r"sparsity\.every is 0 steps"),
        (lambda: SPDF(dense_from=1.5), r"sparsity\.dense_from is 1\.5"),
        (lambda: SPDF(chosen="randm"), r"sparsity\.chosen is randm\. Did you mean random"),
    ],
)
def test_a_bad_field_is_refused_by_name(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_a_tracker_keeps_the_mean_parameters_of_sparse_runs_and_reads_rows_of_before_there_were_any():
    row = EvalRow(
        run_id="a", attempt=1, step=2, tokens_seen=8, tokens_by_corpus={"x": 8}, unique_tokens_by_corpus={"x": 8},
        replay_tokens=0, lr=0.1, lr_area=0.1, anneal_area=0.0, domain="x", split="fit", loss_sum=3.0, num_tokens=2,
        num_bytes=4, loss_se=0.1, seconds=1.0, epochs_by_corpus={"x": 0.5}, num_params_mean=6.5,
    )  # fmt: skip
    for each in (row, replace(row, num_params_mean=0.0)):
        assert rows_of(flat([each]), "a") == [asdict(each)]
    assert "num_params_mean" not in flat([replace(row, num_params_mean=0.0)])
