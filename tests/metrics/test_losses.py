"""Losses, perplexity, bits per byte, change, forgetting: worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_runs import curve

from cptlab.metrics.curves import RowLosses
from cptlab.metrics.losses import bits_per_byte, corpus_loss, perplexity
from cptlab.metrics.measured import Measured, joint, mean


def test_a_loss_in_every_unit():
    found = corpus_loss(curve([3.0, 2.5, 2.75], se=0.1))
    assert found.loss == Measured(2.75, "nat/token", 0.1)
    assert found.perplexity.value == pytest.approx(15.642631884188171)  # e^2.75
    assert found.perplexity.se == pytest.approx(1.5642631884188171)
    assert found.bits_per_byte.value == pytest.approx(2.75 / (4 * 0.6931471805599453))
    assert found.bits_per_byte.unit == "bit/byte"
    assert found.change is not None
    assert found.change.value == -0.25
    assert found.change.se == pytest.approx(0.1 * math.sqrt(2))  # no rows are known: as independent
    assert found.forgetting is not None
    assert found.forgetting.value == 0.25  # 2.75 now, 2.5 at best


def test_forgetting_is_negative_where_a_corpus_is_better_than_ever_and_the_base_counts_as_past():
    assert corpus_loss(curve([3.0, 2.9, 2.5])).forgetting.value == pytest.approx(-0.4)
    assert corpus_loss(curve([2.0, 2.2, 2.3])).forgetting.value == pytest.approx(0.3)


def test_a_run_without_a_base_row_has_no_change():
    late = curve([3.0, 2.0])
    late = type(late)("prose", np.array([5, 10]), late.tokens, late.loss, late.loss_se, late.bytes_per_token)
    found = corpus_loss(late)
    assert (found.base, found.change, found.forgetting) == (None, None, None)
    assert found.to_json()["change"] is None


def test_paired_rows_know_a_change_far_better_than_the_two_losses():
    counts = np.array([10.0, 10.0, 20.0])
    before = np.array([10.0, 30.0, 100.0])
    rows = RowLosses([0, 10], np.array([before, before + np.array([1.0, 2.0, 3.0])]), counts)
    # d = (1, 2, 3), m = 6 / 40 = .15, d - m n = (-.5, .5, 0): sqrt(.5) / 40
    assert rows.change_se(10, 0) == pytest.approx(math.sqrt(0.5) / 40)
    assert rows.change_se(10, 5) is None
    found = corpus_loss(curve([3.5, 3.65], se=0.3, rows=rows)).change
    assert found.se == pytest.approx(math.sqrt(0.5) / 40)
    assert corpus_loss(curve([3.5, 3.65], se=0.3)).change.se > 20 * found.se


@given(st.integers(0, 2**32 - 1))
def test_the_paired_error_is_that_of_a_simulation(seed):
    rng = np.random.default_rng(seed)
    change = rng.normal(0.1, 0.5, size=400)
    rows = RowLosses([0, 1], np.array([np.zeros(400), change]), np.ones(400))
    assert rows.change_se(1, 0) == pytest.approx(0.5 / 20, rel=0.2)


@given(st.floats(0.01, 20), st.floats(0.1, 10))
def test_bits_per_byte_and_perplexity_are_the_same_information(loss, per_token):
    bits = bits_per_byte(Measured(loss), per_token).value
    assert 2 ** (bits * per_token) == pytest.approx(perplexity(Measured(loss)).value, rel=1e-9)


def test_a_hopeless_loss_has_an_infinite_perplexity_and_null_in_json():
    found = perplexity(Measured(1e4, se=1.0))
    assert found.value == math.inf
    assert found.to_json() == {"value": None, "se": None, "unit": "1"}


def test_an_unknown_error_stays_unknown():
    assert joint(3.0, 4.0) == 5.0
    assert joint(3.0, None) is None
    assert mean([Measured(1.0, se=3.0), Measured(2.0, se=4.0)]) == Measured(1.5, "nat/token", 2.5)
    assert mean([Measured(1.0), Measured(2.0, se=4.0)]).se is None
    assert Measured(2.0, se=1.0).low == pytest.approx(0.04)
