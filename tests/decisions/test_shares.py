"""Several corpora on the simplex; losses are straight lines in the shares."""

import numpy as np
import pytest
from planted import Terms, planted

from cptlab.decisions.recommend import recommend
from cptlab.decisions.shares import Shares, simplex
from cptlab.errors import UserError

CORPORA = ("general", "law", "medicine")
GRID = {f"share_{name}": (0.0, 0.5, 1.0) for name in CORPORA}


def line(domain, start, **slopes):
    """L = start + sum of slope x share."""
    law = Terms(
        terms=[lambda c: np.ones_like(c["share_law"]), *(lambda c, n=n: c[f"share_{n}"] for n in slopes)],
        inputs=tuple(GRID),
    )
    return planted(law, (start, *slopes.values()), GRID, domain=domain, base_loss=2.0)


@pytest.fixture
def fits():
    """General rises by .2 law + .1 medicine; law and medicine fall with their own share."""
    return {
        "general": line("general", 2, law=0.2, medicine=0.1),
        "law": line("law", 3, law=-1),
        "medicine": line("medicine", 3, medicine=-1),
    }


def ask(**fields):
    return Shares(**({"general": "general", "domain": "law"} | fields))


def test_the_simplex_holds_every_mixture_once():
    points = simplex(3, 4)
    assert len(points) == 15  # (4 + 2 choose 2)
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert len({tuple(p) for p in points}) == 15


def test_the_domain_alone_is_stopped_by_the_cap_on_the_general_loss(fits):
    found = recommend(fits, ask())  # 2 + .2 law <= 2.06: law .3, medicine 0
    np.testing.assert_allclose([found.choice["share_law"], found.choice["share_medicine"]], [0.3, 0], atol=1e-9)
    np.testing.assert_allclose(found.choice["share_general"], 0.7)
    assert "the cap on the general loss" in found.binding
    assert found.predicted.keys() == set(CORPORA)
    assert found.verdict == "run", found.because


def test_two_wanted_domains_share_by_what_each_costs(fits):
    """Equal weights: medicine costs half as much forgetting, so all of it: .1 medicine <= .06 at .6."""
    found = recommend(fits, ask(weights={"law": 1, "medicine": 1}))
    np.testing.assert_allclose([found.choice["share_law"], found.choice["share_medicine"]], [0, 0.6], atol=1e-9)


def test_a_cap_on_a_further_corpus_binds(fits):
    """medicine = 3 - share <= 2 x 1.3 needs a share of .4, which costs .04 of the .06: law .1."""
    found = recommend(fits, ask(max_rises={"medicine": 0.3}))
    np.testing.assert_allclose([found.choice["share_law"], found.choice["share_medicine"]], [0.1, 0.4], atol=1e-9)
    assert "max_rises.medicine=0.3" in found.binding


def test_caps_that_no_mixture_keeps_are_an_abstention(fits):
    found = recommend(fits, ask(max_rises={"medicine": 0.0, "law": 0.0}))
    assert found.verdict == "abstain"
    assert "o mixture of the corpora keeps every predicted loss under its cap" in found.because


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": {"lwa": 1}}, r"question\.weights: lwa was not fitted\. Did you mean law"),
        ({"weights": {"law": 0}}, "question.weights are all 0"),
        ({"weights": 3}, r"question\.weights is 3; write it as"),
        ({"max_rises": {"law": -1}}, r"question\.max_rises\.law is -1"),
    ],
)
def test_impossible_mixtures_are_refused(fits, fields, message):
    with pytest.raises(UserError, match=message):
        recommend(fits, ask(**fields))
