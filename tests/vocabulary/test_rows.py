"""Rows of a new table: copied, averaged, weighed by likeness, propagated."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from cptlab.vocabulary.building.focus import counts, mutual_information, similar_rows, sparsemax, token_vectors
from cptlab.vocabulary.building.initial import spread, with_similar
from cptlab.vocabulary.building.propagate import Propagated, propagated
from cptlab.vocabulary.building.rows import Transfer, means, padded

OLD = torch.tensor([[1.0, 10], [2, 20], [4, 40], [-7, -70]])


def test_kept_rows_are_copied_others_are_means_of_their_parts():
    transfer = Transfer(np.array([2, -1, 0, -1]), means([[], [0, 1], [], [2]], 4))
    got = transfer.apply("input", OLD, 4)
    torch.testing.assert_close(got, torch.tensor([[4.0, 40], [1.5, 15], [1, 10], [4, 40]]))


def test_a_repeated_part_counts_twice():
    got = Transfer(np.array([-1]), means([[0, 0, 1]], 4)).apply("input", OLD, 1)
    torch.testing.assert_close(got, torch.tensor([[4 / 3, 40 / 3]]))


def test_a_row_without_parts_is_the_mean_of_all_and_padding_is_old_padding():
    mix = means([[]], 4)
    torch.testing.assert_close(Transfer(np.array([-1]), mix).apply("input", OLD, 2), torch.zeros(2, 2))
    assert Transfer(np.array([-1]), mix, padding=3).apply("input", OLD, 2)[1].tolist() == [-7, -70]


def test_a_bias_is_a_table_of_width_one():
    got = Transfer(np.array([1, -1]), means([[], [0, 2]], 4)).apply("output", OLD[:, 0], 2)
    assert got.tolist() == [2, 2.5]


@given(arrays(np.float32, (5, 3), elements=st.floats(-(2.0**60), 2.0**60, width=32)))
def test_kept_rows_are_the_same_to_the_bit_in_every_type(rows):
    transfer = Transfer(np.array([4, 0, -1]), means([[], [], [1, 2]], 5))
    for kind in (torch.float32, torch.bfloat16):
        old = torch.from_numpy(rows).to(kind)
        assert torch.equal(transfer.apply("input", old, 3)[:2], old[[4, 0]])


def test_rows_are_padded_to_a_multiple():
    assert [padded(n, 64) for n in (1, 64, 65)] == [64, 64, 128]
    assert padded(65, 1) == 65


def test_sparsemax_has_its_published_values():
    # tau = (1 + .5 - 1) / 2 = .25 over the first two; two equal scores share; one far ahead takes all.
    np.testing.assert_allclose(sparsemax(np.array([[1, 0.5, -1]])), [[0.75, 0.25, 0]])
    np.testing.assert_allclose(sparsemax(np.array([[0.2, 0.2], [3, 0]])), [[0.5, 0.5], [1, 0]])


@given(arrays(np.float64, (3, 6), elements=st.floats(-5, 5)))
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores):
    got = sparsemax(scores)
    np.testing.assert_allclose(got.sum(1), 1)
    assert got.min() >= 0
    for corner in np.eye(6):  # moving towards any corner brings it no nearer: <z - p, corner - p> <= 0
        assert np.all(((scores - got) * (corner - got)).sum(1) <= 1e-9)


def test_pairs_within_a_window_are_counted_inside_texts_only():
    got = counts([[0, 1, 0], [2, 1]], 3).toarray()
    np.testing.assert_array_equal(got, [[2, 2, 0], [2, 0, 1], [0, 1, 0]])


def test_information_of_a_pair_is_the_log_of_its_lift_over_smoothed_chance_never_below_zero():
    got = mutual_information(csr_array(np.outer([1, 2, 1], [1, 2, 1]).astype(float))).toarray()
    frequent = 8**0.75 / (8**0.75 + 2 * 4**0.75)  # share of the middle context, which occurs 8 times of 16
    np.testing.assert_allclose(got[1, 1], np.log(0.25 / (0.5 * frequent)))
    assert got[0, 0] == 0  # a rare context counts as more frequent than it is


def test_tokens_in_like_places_are_alike():
    rng = np.random.default_rng(0)
    # 0 and 1 stand between the same neighbours 2..4, 5 between others.
    texts = [[rng.choice([2, 3, 4]), rng.choice([0, 1]), rng.choice([2, 3, 4])] for _ in range(300)]
    texts += [[rng.choice([6, 7, 8]), 5, rng.choice([6, 7, 8])] for _ in range(300)]
    vectors = token_vectors(texts, 10)
    weights = similar_rows(vectors[[0]], vectors[[1, 5]]).toarray()
    assert weights[0, 0] > 0.95
    assert not vectors[9].any()


def test_a_token_like_one_kept_token_takes_its_row_and_an_unseen_one_its_parts():
    vectors = np.array([[1.0, 0], [0, 1], [1, 0], [0, 0]])
    mix, similar = with_similar(means([[1], [0, 1]], 2), vectors, np.array([2, 3]), np.array([0, 1, -1, -1]))
    assert similar == 1
    np.testing.assert_allclose(mix.toarray(), [[1, 0], [0.5, 0.5]])
    assert spread(mix, np.array([2, 3]), 5).toarray()[2:4].tolist() == [[1, 0], [0.5, 0.5]]


def test_a_linear_instruct_model_is_followed_to_the_tenth_digit():
    rng = np.random.default_rng(0)
    base, map_, adapted = rng.normal(size=(40, 6)), rng.normal(size=(6, 6)), rng.normal(size=(25, 6))
    np.testing.assert_allclose(propagated(base, base @ map_, adapted), adapted @ map_, atol=1e-10)


def test_an_instruct_model_that_is_its_base_gives_the_adapted_rows_though_tokens_are_few():
    rng = np.random.default_rng(0)
    base, adapted = rng.normal(size=(3, 8)), rng.normal(size=(5, 8))
    np.testing.assert_array_equal(propagated(base, base, adapted), adapted)


def test_added_special_tokens_keep_the_instruct_models_rows():
    rng = torch.Generator().manual_seed(0)
    base, adapted = (torch.randn(n, 2, generator=rng) for n in (4, 6))
    instruct = torch.cat([base @ torch.tensor([[0.0, 1], [1, 0]]), torch.tensor([[5.0, 5]])])
    rows = Propagated(7, means([[0], [1], [2], [3], [0, 1], [], []], 4), {"input": (base, adapted)}, {6: 4})
    got = rows.apply("input", instruct, 8)
    torch.testing.assert_close(got[:6], adapted[:, [1, 0]])
    assert got[6].tolist() == [5, 5]


@pytest.mark.parametrize("lists", [[[]], [[0], [], [1, 1, 2]]])
def test_weights_of_parts_sum_to_one_or_none(lists):
    sums = means(lists, 3).sum(axis=1)
    np.testing.assert_allclose(sums, [float(bool(ids)) for ids in lists])
