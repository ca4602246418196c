"""What every mixture promises, whatever it computes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_corpora import CORPORA, facts

from cptlab.errors import UserError
from cptlab.launch import options
from cptlab.mixtures.code_augmented import CodeAugmented
from cptlab.mixtures.domain_order import DomainOrder
from cptlab.mixtures.perplexity_curriculum import PerplexityCurriculum
from cptlab.mixtures.phased import Phased
from cptlab.mixtures.ramp import Ramp
from cptlab.mixtures.rehydrate import Rehydrate
from cptlab.mixtures.static import Static
from cptlab.mixtures.subset_epochs import SubsetEpochs
from cptlab.mixtures.temperature import Temperature
from cptlab.mixtures.topic_adaptive import TopicAdaptive
from cptlab.mixtures.ucb import UCB
from cptlab.mixtures.unimax import UniMax
from cptlab.sweeps.preflight import compose_point
from cptlab.variants import discover_group

SHARES = {"general": 0.5, "code": 0.2, "law": 0.3}
OTHER = {"general": 0.1, "code": 0.2, "law": 0.7}
WRONG = {"general": 0.5, "lawe": 0.5}
MAKE = {
    "static": lambda: Static(shares=SHARES),
    "code_augmented": lambda: CodeAugmented(),
    "phased": lambda: Phased(shares=[SHARES, OTHER]),
    "ramp": lambda: Ramp(start_shares=SHARES, end_shares=OTHER, space="logit"),
    "temperature": lambda: Temperature(temperature=2),
    "unimax": lambda: UniMax(max_epochs=4),
    "rehydrate": lambda: Rehydrate(cluster_size={"law": 5}, removed_share={"law": 0.1, "code": 0.4}),
    "domain_order": lambda: DomainOrder(order=["law", "code"]),
    "subset_epochs": lambda: SubsetEpochs(shares=SHARES),
    "perplexity_curriculum": lambda: PerplexityCurriculum(shares=SHARES),
    "topic_adaptive": lambda: TopicAdaptive(shares=SHARES),
    "ucb": lambda: UCB(shares=SHARES),
}
NAMING = {
    "static": lambda: Static(shares=WRONG),
    "code_augmented": lambda: CodeAugmented(shares=WRONG),
    "phased": lambda: Phased(shares=[SHARES, WRONG]),
    "ramp": lambda: Ramp(start_shares=SHARES, end_shares=WRONG),
    "rehydrate": lambda: Rehydrate(cluster_size={"lawe": 5}),
    "domain_order": lambda: DomainOrder(order=["lawe", "code"]),
    "subset_epochs": lambda: SubsetEpochs(shares=WRONG),
    "perplexity_curriculum": lambda: PerplexityCurriculum(shares=WRONG),
    "topic_adaptive": lambda: TopicAdaptive(shares=WRONG),
    "ucb": lambda: UCB(shares=WRONG),
}


def prepared(mixture):
    mixture.prepare(facts(general=800, code=150, law=50), 500)
    return mixture


def test_every_mixture_is_under_contract():
    assert set(MAKE) == set(discover_group("mixture"))


@pytest.mark.parametrize("name", MAKE)
@given(u=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_rows_are_shares_and_each_depends_on_its_u_alone(name, u):
    got = prepared(MAKE[name]()).weights(np.array(u), CORPORA, "general")
    assert got.shape == (len(u), 3)
    assert (got >= 0).all()
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-12)
    again = prepared(MAKE[name]())
    alone = np.vstack([again.weights(np.array([each]), CORPORA, "general") for each in u])
    np.testing.assert_allclose(got, alone, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(MAKE.keys() - {"domain_order"}))
def test_the_order_of_the_corpora_moves_columns_and_nothing_else(name):
    u = np.array([0.2, 0.9])
    got = prepared(MAKE[name]()).weights(u, CORPORA, "general")
    turned = prepared(MAKE[name]()).weights(u, CORPORA[::-1], "general")
    np.testing.assert_allclose(turned[:, ::-1], got, rtol=1e-12)


@pytest.mark.parametrize("name", NAMING)
def test_a_corpus_that_data_does_not_have_is_refused_with_the_closest(name):
    with pytest.raises(UserError, match=r"lawe, which data does not have. Did you mean law\?"):
        prepared(NAMING[name]()).weights(np.array([0.5]), CORPORA, "general")


@pytest.mark.parametrize("name", options("mixture"))
def test_every_preset_composes_with_another_base_and_another_length(name):
    config = compose_point([f"mixture={name}", "model.base_run=runs/x", "tokens=1e6", "seed=3"])
    assert config.mixture.group == "mixture"
    assert config.mixture.planned_at_start(100) <= 100


@pytest.mark.parametrize(
    ("overrides", "read"),
    [
        (["mixture=static", "mixture.shares={a: 0.2, b: 0.8}"], lambda m: m.shares == {"a": 0.2, "b": 0.8}),
        (["mixture=phased", "mixture.shares=[{a: 1.0}, {a: 0.5, b: 0.5}]"], lambda m: m.shares[1]["b"] == 0.5),
        (["mixture=phased", "mixture.fractions=[0.3, 0.3, 0.4]", "mixture.domain_shares=[0, 0.5, 1]"],
         lambda m: m.domain_shares == [0.0, 0.5, 1.0]),
        (["mixture=rehydrate", "mixture.cluster_size={a: 5}"], lambda m: m.cluster_size == {"a": 5}),
        (["mixture=domain_order", "mixture.order=[b, a]"], lambda m: m.order == ["b", "a"]),
        (["mixture=ramp", "mixture.start_shares.a=1", "mixture.end_shares={a: 0.5, b: 0.5}"],
         lambda m: m.start_shares == {"a": 1.0}),
    ],
)  # fmt: skip
def test_what_a_mixture_needs_can_be_said_on_the_command_line(overrides, read):
    assert read(compose_point(overrides).mixture)
