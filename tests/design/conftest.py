"""Runs of a known law, the question and what can be run."""

import pytest
from known_law import RISE, SIZE, TOKENS, Runs

from cptlab.decisions.tradeoff import Tradeoff
from cptlab.design.space import Space, even_shares


@pytest.fixture(scope="session")
def runs():
    return Runs()


@pytest.fixture(scope="session")
def question():
    return Tradeoff(general="general", domain="domain", max_general_rise=RISE, num_params=SIZE)


@pytest.fixture(scope="session")
def space():
    return Space((SIZE,), (TOKENS,), even_shares())
