"""W&B's own search engine with this numpy, without a server."""

import sys
import types

import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.sweeps.wandb.engine import FINISHED, Engine, Trial
from cptlab.sweeps.wandb.spec import Search, spec

BLOCK = {"share": ("0.0", "1.0"), "tokens": ("640",)}
METRIC = "loss/fit/code"


def why_absent():
    try:
        Engine({})
    except UserError as error:
        return str(error)
    return ""


needs_engine = pytest.mark.skipif(why_absent() != "", reason=why_absent())


def searched(search, number):
    engine, trials = Engine(spec("s", BLOCK, search)), []
    while (values := engine.propose(trials)) is not None and len(trials) < number:
        trials.append(Trial(len(trials), values, FINISHED, [(values["share"] - 0.3) ** 2]))
    return trials


def test_another_package_of_that_name_is_not_taken_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sweeps", types.ModuleType("sweeps"))
    with pytest.raises(UserError, match=r"a package of that name which is not W&B's.*--no-deps sweeps==0\.3\.0"):
        Engine({})


@needs_engine
def test_a_grid_is_proposed_once_and_ends():
    assert [trial.values for trial in searched(Search(), 9)] == [
        {"share": 0.0, "tokens": 640},
        {"share": 1.0, "tokens": 640},
    ]


@needs_engine
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_search_ends_at_its_cap_and_gives_pythons_own_numbers(method):
    trials = searched(Search(method, METRIC, between=("share",), runs=6), 99)
    assert len(trials) == 6
    assert all(type(trial.values["share"]) is float and 0 <= trial.values["share"] <= 1 for trial in trials)


@needs_engine
def test_bayes_comes_nearer_than_its_first_draws():
    np.random.seed(0)  # noqa: NPY002 - the package draws from it
    trials = searched(Search("bayes", METRIC, between=("share",), runs=10), 99)
    assert min(trial.history[-1] for trial in trials) < 0.01


@needs_engine
def test_hyperband_ends_the_worst_of_running_trials():
    engine = Engine(spec("s", BLOCK, Search("random", METRIC, 1, ("share",))))
    done = [Trial(i, {"share": 0.1 * i, "tokens": 640}, FINISHED, [1.0 + i, 0.1 * i]) for i in range(6)]
    bad, good = (
        Trial(6, {"share": 0.9, "tokens": 640}, history=[9.0]),
        Trial(7, {"share": 0.3, "tokens": 640}, history=[0.5]),
    )
    assert engine.hopeless([*done, bad, good]) == [bad]
