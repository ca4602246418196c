"""Mixtures that follow from what the corpora hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_corpora import facts, rows_of

from cptlab.errors import UserError
from cptlab.mixtures.rehydrate import Rehydrate
from cptlab.mixtures.temperature import Temperature
from cptlab.mixtures.unimax import UniMax, unimax


def test_temperature_one_is_proportional_and_two_takes_the_root():
    np.testing.assert_allclose(rows_of(Temperature(temperature=1), [0.5]), [[0.8, 0.15, 0.05]])
    known = facts(general=900, code=100, law=400)
    np.testing.assert_allclose(rows_of(Temperature(temperature=2), [0.5], known=known), [[30 / 60, 10 / 60, 20 / 60]])


def test_a_high_temperature_is_uniform_and_a_low_one_takes_the_largest():
    np.testing.assert_allclose(rows_of(Temperature(temperature=1e9), [0.5]), [[1 / 3] * 3], atol=1e-8)
    np.testing.assert_allclose(rows_of(Temperature(temperature=1e-3), [0.5]), [[1, 0, 0]], atol=1e-9)


def test_unimax_caps_the_smallest_and_shares_the_rest_equally():
    # 300 rows, one epoch: law 50 of 100, code 125 of 150, general 125.
    np.testing.assert_allclose(rows_of(UniMax(max_epochs=1), [0.5], rows_total=300), [[125 / 300, 125 / 300, 50 / 300]])


def test_unimax_is_uniform_below_every_cap():
    np.testing.assert_allclose(rows_of(UniMax(max_epochs=1), [0.5], rows_total=90), [[1 / 3] * 3])


def test_unimax_gives_the_budgets_published_with_a_public_implementation():
    """The example in the README of unimax-sampling (characters of five languages of FineWeb2)."""
    sizes = np.array([179955884499, 184595788282, 42541080893, 10027573389, 549707867], dtype=float)
    got = unimax(sizes, 250e9, 4)
    np.testing.assert_allclose(got, [69230291658.67, 69230291658.67, 69230291658.67, 40110293556, 2198831468])


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6), st.floats(0.01, 20), st.integers(1, 5000))
def test_unimax_never_passes_its_cap_and_spends_what_the_caps_allow(sizes, cap, budget):
    sizes = np.array(sizes, dtype=float)
    got = unimax(sizes, budget, cap)
    assert (got <= cap * sizes * (1 + 1e-12)).all()
    assert got.sum() == pytest.approx(min(budget, cap * sizes.sum()))
    uncapped = got < cap * sizes * (1 - 1e-9)
    if uncapped.any():  # who is not capped gets the most, and all of them the same
        assert got[uncapped].min() == pytest.approx(got.max())


def test_more_than_the_caps_allow_is_refused_with_the_epochs_it_would_take():
    with pytest.raises(UserError, match=r"max_epochs=1 allows 1000 of the run's 2500 rows; raise it to 2\.5 or more"):
        rows_of(UniMax(max_epochs=1), [0.5], rows_total=2500)


def test_repetitions_fall_from_the_cleanest_group_to_one_at_the_overall_rate():
    # Kept 600, 300 and 100 tokens after losing 40, 70 and 0 %: before 1000, 1000 and 100; 1100 of 2100 removed.
    known = facts(general=60, code=30, law=10)
    removed = {"general": 0.4, "code": 0.7, "law": 0.0}
    mixture = Rehydrate(removed_share=removed, max_repetitions=12)
    rows_of(mixture, [0.5], known=known)
    overall = 1100 / 2100
    np.testing.assert_allclose(
        mixture.repetitions(["general", "code", "law"]), [1 + 11 * (overall - 0.4) / overall, 1, 12]
    )


def test_no_document_is_repeated_more_often_than_it_was_found():
    mixture = Rehydrate(removed_share={"code": 0.5, "law": 0.0}, cluster_size={"law": 3})
    rows_of(mixture, [0.5])
    np.testing.assert_allclose(mixture.repetitions(["general", "code", "law"]), [1, 1, 3])


@pytest.mark.parametrize(
    ("size", "times"),
    [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (99, 5), (100, 8), (999, 8), (1000, 1), (10**6, 1)],
)
def test_repetitions_by_cluster_size_are_those_of_the_data_sets_card(size, times):
    mixture = Rehydrate(cluster_size={"law": size})
    assert mixture.repetitions(["law"]).tolist() == [times]


def test_rehydration_weighs_tokens_by_their_repetitions():
    got = rows_of(Rehydrate(cluster_size={"law": 5}), [0.5])
    np.testing.assert_allclose(got, [[800 / 1200, 150 / 1200, 250 / 1200]])


def test_groups_that_lost_the_same_are_not_repeated():
    mixture = Rehydrate(removed_share={"code": 0.3, "law": 0.3})
    rows_of(mixture, [0.5])
    assert mixture.repetitions(["code", "law"]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Temperature(temperature=0), r"mixture\.temperature is 0; it must be above 0"),
        (lambda: rows_of(Temperature(), [0.5], known=facts(general=0, code=0, law=0)), "not all 0"),
        (lambda: UniMax(max_epochs=0), r"mixture\.max_epochs is 0"),
        (lambda: Rehydrate(cluster_size={"law": 0}), r"mixture\.cluster_size\.law is 0; it must be 1 or more"),
        (lambda: Rehydrate(removed_share={"law": 1.0}), r"mixture\.removed_share\.law is 1\.0"),
        (lambda: Rehydrate(max_repetitions=0.5), r"mixture\.max_repetitions is 0\.5"),
    ],
)
def test_a_mixture_from_sizes_that_makes_no_sense_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
