"""BiMix, additive mixture, forgetting with injection, average parameters: by hand and planted."""

import numpy as np
import pandas as pd
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.laws.additive_mixture import AdditiveMixture
from cptlab.laws.average_params import AverageParams
from cptlab.laws.bimix import BiMix
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.forgetting_injection import ForgettingInjection


def crossed(**values) -> pd.DataFrame:
    return pd.DataFrame({k: v.ravel() for k, v in zip(values, np.meshgrid(*values.values()), strict=True)})


def arrays(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy(float) for name in table}


def test_bimix_by_hand():
    #  (B / s^.5 + C) / r^.5 at s = 1e4, r = .25: (200 / 100 + 1) * 2
    got = BiMix().predict(np.array([200, 1, 0.5, 0.5]), {"tokens": np.array([1e4]), "share": np.array([0.25])})
    np.testing.assert_allclose(got, [6.0])


def test_bimix_gives_planted_parameters_back_and_leaves_share_zero_out():
    table = crossed(tokens=np.arange(1, 9) * 1e8, share=np.array([0.1, 0.25, 0.5, 0.75, 1.0]))
    truth = np.array([300.0, 1.7, 0.12, 0.35])
    table["loss"] = BiMix().predict(truth, arrays(table))
    zero = pd.DataFrame({"tokens": [1e8, 2e8], "share": 0.0, "loss": [4.0, 4.0]})
    fit = cptlab.fit("bimix", pd.concat([table, zero]), num_draws=0)
    np.testing.assert_allclose(fit.theta, truth, rtol=1e-5)
    assert fit.num_points == 40
    assert np.isinf(fit.predict(zero)).all()


ADDITIVE = ["E", "A", "B", "K", "alpha", "beta", "c_code", "c_law", "gamma_general", "gamma_code", "gamma_law"]


def mixtures(rows: int = 25, seed: int = 0) -> pd.DataFrame:
    shares = np.random.default_rng(seed).dirichlet([1, 1, 1], rows)
    parts = []
    for N in (1e8, 4e8, 1.6e9):
        for D in (2e9, 4e9, 8e9, 1.6e10):
            part = pd.DataFrame(shares, columns=["share_code", "share_law", "share_general"])
            parts.append(part.assign(num_params=N, tokens=D, run=[f"{N}-{i}" for i in range(rows)]))
    return pd.concat(parts, ignore_index=True)


def test_the_additive_mixture_by_hand_and_as_published():
    law = AdditiveMixture(corpora=["code", "general"])
    columns = {"num_params": np.array([1e4]), "tokens": np.array([1e6]),
               "share_code": np.array([0.25]), "share_general": np.array([0.75])}  # fmt: skip
    #  E + 100/N^.5 + 500/D^.5 + K / (.75^1 + 2 * .25^.5)
    theta = np.array([1.0, 100, 500, 3.5, 0.5, 0.5, 2.0, 1.0, 0.5])
    np.testing.assert_allclose(law.predict(theta, columns), [1 + 1 + 0.5 + 3.5 / 1.75])
    C_general, C_code = 1 / 3.5, 2 / 3.5
    published = 1 + 1 + 0.5 + 1 / (C_general * 0.75 + C_code * 0.25**0.5)
    np.testing.assert_allclose(law.predict(theta, columns), [published])


def test_the_additive_mixture_is_recovered_on_three_corpora():
    table = mixtures()
    law = AdditiveMixture().of_table(table.columns)
    assert list(law.parameter_names) == ADDITIVE
    truth = np.array([1.3, 150.0, 800.0, 0.5, 0.33, 0.32, 1.8, 0.4, 0.6, 0.3, 0.8])
    table["loss"] = law.predict(truth, arrays(table.drop(columns="run")))
    fit = cptlab.fit("additive_mixture", table, num_draws=0)
    np.testing.assert_allclose(fit.theta, truth, rtol=1e-3)
    assert fit.heldout["ratio"].rmse < 1e-5


def test_the_best_mixture_of_the_additive_law_is_the_same_at_every_size():
    law = AdditiveMixture(corpora=["code", "general"])
    theta = np.array([1.3, 150.0, 800.0, 0.5, 0.33, 0.32, 1.8, 0.6, 0.3])
    h = np.linspace(0, 1, 201)
    best = [
        np.argmin(law.predict(theta, {"num_params": np.full(201, N), "tokens": np.full(201, 1e9),
                                      "share_code": h, "share_general": 1 - h}))
        for N in (1e7, 1e9, 1e11)
    ]  # fmt: skip
    assert len(set(best)) == 1


def test_forgetting_by_hand():
    #  2 + .3 * (1e4)^.5 / ((1 + 3 * 1) * 1e4)^.5 + .1 = 2 + .3 / 2 + .1
    columns = {name: np.array([v]) for name, v in
               {"base_loss": 2.0, "num_params": 1e4, "tokens": 1e4, "injected_share": 1.0}.items()}  # fmt: skip
    got = ForgettingInjection().predict(np.array([1, 0.3, 0.1, 0.5, 0.5, 3.0]), columns)
    np.testing.assert_allclose(got, [2.25])


def test_forgetting_gives_planted_parameters_back():
    table = crossed(num_params=np.array([4e7, 1e8, 3e8, 1e9]), tokens=np.geomspace(3e5, 1e8, 6),
                    injected_share=np.array([0, 0.001, 0.005, 0.01, 0.05]))  # fmt: skip
    table["base_loss"] = 4.5 - 0.1 * np.log(table["num_params"] / 4e7)
    truth = np.array([1.0, 200.0, 0.02, 0.6, 0.25, 300.0])
    table["loss"] = ForgettingInjection().predict(truth, arrays(table))
    fit = cptlab.fit("forgetting_injection", table, num_draws=0)
    np.testing.assert_allclose(fit.theta, truth, rtol=1e-4)
    renamed = table.rename(columns={"tokens": "unique_tokens"})
    other = cptlab.fit(ForgettingInjection(data="unique_tokens"), renamed, num_draws=0, heldout=False)
    np.testing.assert_allclose(other.theta, truth, rtol=1e-4)
    with pytest.raises(UserError, match=r"law\.data is token, which is no column\. Did you mean tokens"):
        ForgettingInjection(data="token")


def test_average_params_of_a_dense_model_is_chinchilla():
    table = crossed(num_params_mean=np.array([1e7, 4e7, 1.6e8, 6e8]), tokens=np.geomspace(1e9, 1e11, 6))
    truth = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
    columns = arrays(table)
    dense = Chinchilla().predict(truth, columns | {"num_params": columns["num_params_mean"]})
    np.testing.assert_array_equal(AverageParams().predict(truth, columns), dense)
    fit = cptlab.fit("average_params", table.assign(loss=dense), num_draws=0)
    np.testing.assert_allclose(fit.theta, truth, rtol=1e-4)
