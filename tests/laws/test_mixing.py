"""The mixing law: real continual pre-training losses, planted parameters, many corpora."""

import numpy as np
import pandas as pd
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.fit import Fit
from cptlab.laws.mixing import Mixing

BASE, HELD = 2.87337, 0.28516  # Pile loss of Pythia-70M before the first update; held-out Pile share


@pytest.fixture(scope="module")
def pile(lawdata) -> pd.DataFrame:
    """Pile loss at step 10000 of the runs on Pile and python, one step counted as 1e6 tokens."""
    raw = pd.read_csv(lawdata / "cpt_pile_python_70m.csv").query("step == 10000")
    return pd.DataFrame({
        "share_pile": raw["r_gen"], "share_python": 1 - raw["r_gen"], "loss": raw["pile"],
        "tokens": raw["step"] * 1e6, "run": raw["r_gen"].astype(str), "base_loss": BASE,
    })  # fmt: skip


def critical_share(fit: Fit) -> float:
    """Pile share at which the Pile loss is that of the base model."""
    c, k, t = fit.theta
    return float(np.log((BASE - c) / k) / t)


def test_the_critical_pile_share_is_as_published_with_the_published_constant(pile):
    #  published: k = -3.7397, b = -1.6938, critical share .28623, hence c = BASE - exp(k r + b)
    c = BASE - np.exp(-3.7397 * 0.28623 - 1.6938)
    held = (pile["share_pile"] - HELD).abs() < 1e-4
    fit = cptlab.fit(Mixing(reference="python"), pile[~held], num_draws=0, heldout=False, fixed={"c": c})
    assert critical_share(fit) == pytest.approx(0.28623, abs=2e-4)
    assert critical_share(fit) == pytest.approx(0.2868, abs=0.002)
    assert fit.parameters["t_pile"] == pytest.approx(-3.7397, abs=0.01)
    assert np.log(fit.parameters["k"]) == pytest.approx(-1.6938, abs=0.001)
    assert fit.predict(pile[held]).iloc[0] == pytest.approx(2.87375, abs=0.002)


def test_with_a_free_constant_the_held_out_loss_is_predicted_better(pile):
    held = (pile["share_pile"] - HELD).abs() < 1e-4
    fit = cptlab.fit(Mixing(reference="python"), pile[~held], num_draws=0, heldout=False)
    observed = pile["loss"][held].iloc[0]
    assert fit.num_points == 4
    assert observed == pytest.approx(2.87207, abs=1e-5)
    assert fit.predict(pile[held]).iloc[0] == pytest.approx(observed, abs=0.001)  # published: off by .0017
    assert critical_share(fit) == pytest.approx(0.2832, abs=2e-4)


def test_the_reference_corpus_changes_parameters_and_no_prediction(pile):
    one, other = (cptlab.fit(Mixing(reference=name), pile, num_draws=0, heldout=False) for name in ("pile", "python"))
    np.testing.assert_allclose(one.predicted, other.predicted, atol=1e-7)
    assert one.parameters["t_python"] == pytest.approx(-other.parameters["t_pile"], rel=1e-3)


def test_planted_parameters_of_four_corpora_come_back():
    shares = np.random.default_rng(0).dirichlet([1, 1, 1, 1], 30)
    names = ["law", "code", "math", "general"]
    truth = dict(zip(names, [-3.0, -0.5, 0.8, 0.0], strict=True))
    loss = 1.4 + 0.9 * np.exp(shares @ list(truth.values()))
    table = {f"share_{name}": shares[:, j] for j, name in enumerate(names)} | {"loss": loss}
    fit = cptlab.fit("mixing", table, num_draws=0)
    assert fit.law.inputs == ("share_law", "share_code", "share_math")
    assert fit.parameters == pytest.approx(
        {"c": 1.4, "k": 0.9} | {f"t_{name}": truth[name] for name in names[:3]}, rel=1e-4
    )
    assert fit.heldout["ratio"].num_points == 30
    assert fit.heldout["ratio"].rmse < 1e-5


def test_with_noise_the_held_out_error_is_that_of_the_noise():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([1, 1, 1], 40)
    loss = 2 + np.exp(shares @ [-2.0, 0.5, 0.0]) * 0.8 + 0.01 * rng.standard_normal(40)
    table = {f"share_{name}": shares[:, j] for j, name in enumerate(("a", "b", "general"))} | {"loss": loss}
    fit = cptlab.fit("mixing", table, num_draws=200)
    assert 0.007 < fit.heldout["ratio"].rmse < 0.013
    assert fit.interval("t_a")[0] < -2 < fit.interval("t_a")[1]


def test_corpora_are_named_or_found_and_wrong_ones_refused():
    assert Mixing().of_table(["loss", "share_a", "share_general", "share_b"]).inputs == ("share_a", "share_b")
    assert Mixing(corpora=["a", "b"]).of_table(["share_c"]).inputs == ("share_a",)
    with pytest.raises(UserError, match=r"law=mixing reads the shares of two or more corpora, the table has share_a;"):
        Mixing().of_table(["share_a", "loss"])
    with pytest.raises(UserError, match=r"law\.reference is genral, .* Did you mean general\?"):
        Mixing(corpora=["general", "law"], reference="genral")
    with pytest.raises(UserError, match=r"law\.corpora is a, a; give two or more names, each once"):
        Mixing(corpora=["a", "a"])
