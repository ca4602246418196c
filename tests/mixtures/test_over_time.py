"""Mixtures that change with progress."""

import numpy as np
import pytest
from known_corpora import CORPORA, facts, rows_of

from cptlab.errors import UserError
from cptlab.mixtures.base import CorpusFacts
from cptlab.mixtures.domain_order import DomainOrder
from cptlab.mixtures.phased import Phased
from cptlab.mixtures.ramp import Ramp

TWO = {"corpora": ["general", "law"]}


def test_a_stage_ends_with_the_step_that_reaches_its_end():
    mixture = Phased(fractions=[0.3, 0.6, 0.1], domain_shares=[0, 0.5, 1])
    got = rows_of(mixture, (np.arange(10) + 1) / 10, **TWO)[:, 1]
    np.testing.assert_array_equal(got, [0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1])


def test_stages_may_name_any_corpora():
    mixture = Phased(shares=[{"law": 1.0}, {"general": 0.25, "code": 0.75}])
    np.testing.assert_array_equal(rows_of(mixture, [0.5, 0.51]), [[0, 0, 1], [0.25, 0.75, 0]])


def test_a_ramp_is_straight_in_the_share():
    mixture = Ramp(start=0.1, end=0.5)
    np.testing.assert_allclose(rows_of(mixture, [0, 0.25, 1], **TWO)[:, 1], [0.1, 0.2, 0.5])


def test_a_ramp_rests_before_it_begins_and_after_it_ends():
    mixture = Ramp(start=0.1, end=0.5, begin=0.5, finish=0.75)
    np.testing.assert_allclose(rows_of(mixture, [0.3, 0.5, 0.625, 0.75, 1], **TWO)[:, 1], [0.1, 0.1, 0.3, 0.5, 0.5])


def test_a_ramp_in_the_logit_passes_the_half_between_a_tenth_and_nine_tenths():
    got = rows_of(Ramp(start=0.1, end=0.9, space="logit"), [0, 0.25, 0.5, 1], **TWO)[:, 1]
    # logit(.1) = -ln 9; a quarter of the way it is -ln 3, which is .25.
    np.testing.assert_allclose(got, [0.1, 0.25, 0.5, 0.9])


def test_corpora_take_equal_turns_in_the_order_of_the_list():
    got = rows_of(DomainOrder(order=["law", "code"]), [0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(got, [[0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0]])


def test_a_turn_may_be_as_long_as_the_corpus_is_large():
    got = rows_of(DomainOrder(lengths="tokens"), [0.75, 0.76])  # code 150, law 50 rows
    np.testing.assert_array_equal(got, [[0, 1, 0], [0, 0, 1]])


def test_a_random_order_is_one_of_its_seed_and_names_not_of_their_listing():
    names = [f"corpus{i}" for i in range(6)]
    orders = {seed: DomainOrder(order_by="random", order_seed=seed).sequence(names, "") for seed in range(5)}
    assert orders[3] == DomainOrder(order_by="random", order_seed=3).sequence(names[::-1], "")
    assert all(sorted(order) == names for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 1


def test_similar_corpora_follow_each_other():
    tokens = {
        "a": [0] * 9 + [1],
        "far": [3] * 10,
        "between": [1] * 5 + [2] * 5,
        "near": [0] * 6 + [1] * 4,
    }
    mixture = DomainOrder(order_by="similar")
    mixture.prepare({name: CorpusFacts(10, 1, np.array(ids)) for name, ids in tokens.items()}, 10)
    assert mixture.sequence(list(tokens), "") == ["a", "near", "between", "far"]


def test_similarity_without_tokens_is_refused():
    mixture = DomainOrder(order_by="similar")
    mixture.prepare(facts(code=2, law=2), 10)
    with pytest.raises(UserError, match="cannot read the tokens of code"):
        mixture.weights(np.ones(1), ["code", "law"], "")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Phased(fractions=[0.5, 0.4]), r"mixture\.fractions sum to 0\.9; they must sum to 1"),
        (lambda: Phased(fractions=[1.0, 0.0]), r"mixture\.fractions\[1\] is 0\.0"),
        (lambda: Phased(domain_shares=[0.2]), r"mixture\.domain_shares has 1 stages, mixture\.fractions 2"),
        (lambda: Phased(shares=[{"a": 1.0}, {}]), r"mixture\.shares\[1\] is empty"),
        (lambda: Phased(shares=[{"a": 1.0}, {"a": 0.7, "b": 0.7}]), r"mixture\.shares\[1\] sum to 1\.4"),
        (lambda: Phased(shares=[{"a": 1.0}, {"a": 1.5, "b": -0.5}]), r"mixture\.shares\[1\]\.a is 1\.5"),
        (lambda: Phased(domain_shares=[0.2, -0.1]), r"mixture\.domain_shares\[1\] is -0\.1"),
        (lambda: Ramp(end=1.1), r"mixture\.end is 1\.1; it must lie in \[0, 1\]"),
        (lambda: Ramp(start_shares={"a": 1.0}), "give both or neither"),
        (lambda: Ramp(space="logits"), r"mixture\.space is logits\. Did you mean logit\?"),
        (lambda: Ramp(begin=0.5, finish=0.5), "0 <= begin < finish <= 1"),
        (lambda: rows_of(Ramp(start=0.0, space="logit"), [0.5], **TWO), "cannot start or end at a share of 0 or 1"),
        (lambda: DomainOrder(order_by="simlar"), r"mixture\.order_by is simlar\. Did you mean similar\?"),
        (lambda: DomainOrder(order=["a", "a"]), "names a corpus twice"),
        (lambda: DomainOrder(order_seed=-1), r"mixture\.order_seed is -1"),
    ],
)
def test_a_mixture_over_time_that_makes_no_sense_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_all_but_the_general_corpus_take_turns_unless_it_is_the_only_one():
    assert DomainOrder().sequence(CORPORA, "general") == ["code", "law"]
    assert DomainOrder().sequence(["general"], "general") == ["general"]
