"""fit(): figures on public data, what a Fit holds, what is refused."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from known_grid import SHARES, TRUTH, grid

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.bootstrap import run_weights
from cptlab.fitting.fit import Fit, seed_noise, to_json
from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations

KEYS = {
    "law", "domain", "parameters", "objective", "r2", "heldout", "baselines", "identifiability", "num_runs",
    "num_points", "success", "message",
}  # fmt: skip


@pytest.fixture(scope="module")
def noisy() -> Fit:
    return cptlab.fit("dcpt", grid(checkpoints=7, noise=0.005), num_draws=100)


def test_python_losses_of_a_70m_model_are_fitted_as_published(python_70m):
    fit = cptlab.fit("dcpt", python_70m["python"], num_draws=50)
    assert fit.r2 == pytest.approx(0.9963, abs=2e-4)
    assert fit.heldout["ratio"].mape == pytest.approx(0.0017, abs=3e-4)
    assert fit.heldout["tokens"].mape == pytest.approx(0.0057, abs=5e-4)
    assert fit.baselines["nearest_run"]["ratio"].mape == pytest.approx(0.0062, abs=1e-4)
    assert fit.baselines["quadratic"]["ratio"].mape == pytest.approx(0.0011, abs=1e-4)
    assert fit.parameters["A"] == 0
    assert "one distinct value of num_params: A, alpha cannot be known" in fit.identifiability.sentences[0]
    assert "A = 0" in fit.message


def test_pile_losses_fit_well_only_after_their_early_rise(python_70m):
    table = python_70m["pile"]
    everything = cptlab.fit("dcpt", table, num_draws=0)
    late = cptlab.fit("dcpt", table[table["tokens"] >= 5e9], num_draws=0, heldout=False)
    assert everything.r2 == pytest.approx(0.956, abs=0.01)
    assert late.r2 == pytest.approx(0.994, abs=0.002)
    assert everything.baselines["nearest_run"]["ratio"].mape == pytest.approx(0.0035, abs=1e-4)
    assert everything.baselines["quadratic"]["ratio"].mape == pytest.approx(0.0013, abs=1e-4)


def test_a_clean_grid_is_predicted_exactly_inside_and_beyond():
    fit = cptlab.fit("dcpt", grid(), num_draws=0)
    far = {"num_params": 7e9, "tokens": [1e10, 3e10], "share": [0.45, 0.95]}
    expected = DCPT().predict(TRUTH, {k: np.broadcast_to(v, 2).astype(float) for k, v in far.items()})
    np.testing.assert_allclose(fit.predict(far), expected, rtol=1e-6)
    assert fit.heldout["ratio"].rmse < 1e-5
    assert fit.success


def test_a_fit_holds_what_it_promises(noisy: Fit):
    assert noisy.law_name == "dcpt"
    assert (noisy.num_points, noisy.num_runs, noisy.num_draws) == (3 * 9 * 7, 27, 100)
    assert noisy.predict(noisy.observations) == pytest.approx(noisy.predicted)
    np.testing.assert_allclose(noisy.residuals, noisy.observations["loss"] - noisy.predicted)
    assert noisy.predict_draws(noisy.observations).shape == (100, noisy.num_points)
    assert noisy.support["share"] == (0, 1)
    low, high = noisy.interval("beta")
    assert low < noisy.parameters["beta"] < high
    assert noisy.interval("beta", 0.5)[0] > low
    assert noisy.identifiability.condition > 1
    assert set(noisy.heldout) == {"ratio", "ratio_ends", "tokens", "token_segments"}
    assert noisy.starts_reached >= 1
    assert noisy.draws_failed == 0


def test_the_interval_of_a_prediction_covers_the_truth_mostly(noisy: Fit):
    clean = DCPT().predict(TRUTH, {name: noisy.observations[name] for name in DCPT.inputs})
    low, high = np.quantile(noisy.predict_draws(noisy.observations), [0.05, 0.95], axis=0)
    assert np.mean((clean > low) & (clean < high)) > 0.6


def test_fit_json_has_its_keys_and_is_plain(noisy: Fit):
    entry = json.loads(json.dumps(to_json([noisy]), allow_nan=False))[0]
    assert set(entry) == KEYS
    assert set(entry["parameters"]) == set(DCPT().parameter_names)
    assert entry["parameters"]["beta"]["low"] < entry["parameters"]["beta"]["high"]
    assert {"mape", "r2", "num_points"} <= set(entry["heldout"]["ratio"])
    assert set(entry["baselines"]) == {"nearest_run", "quadratic", "no_law"}
    tied = entry["identifiability"]["correlations"]
    assert tied["names"] == list(DCPT().parameter_names)
    assert np.shape(tied["matrix"]) == (9, 9)


def test_draws_weigh_a_run_alike_in_every_domain_and_order():
    runs = np.array(["b", "a", "c", "a"])
    weights = run_weights(runs, 50, seed=1)
    np.testing.assert_allclose(weights[:, ::-1], run_weights(runs[::-1], 50, seed=1))
    np.testing.assert_allclose(weights[:, 1], weights[:, 3])
    np.testing.assert_allclose(weights[:, :3].mean(axis=1), 1)
    assert not np.allclose(weights, run_weights(runs, 50, seed=2))


def test_one_table_gives_the_same_fit_twice_and_from_any_form():
    table = grid(checkpoints=4, noise=0.005)
    one = cptlab.fit("dcpt", table, num_draws=20)
    columns = {name: table[name].to_numpy() for name in table}
    for other in (
        cptlab.fit("dcpt", columns, num_draws=20),
        cptlab.fit("dcpt", _observed(table), num_draws=20),
    ):
        np.testing.assert_array_equal(one.theta, other.theta)
        np.testing.assert_array_equal(one.draws, other.draws)


def test_domains_are_fitted_apart_each_on_its_own_share():
    table = grid(checkpoints=4)
    law = table.assign(domain="law", domain_share=table["share"]).drop(columns="share")
    general = law.assign(domain="general", general_share=table["share"], domain_share=1 - table["share"])
    both = pd.concat([law.assign(general_share=1 - table["share"]), general])
    for domain in ("law", "general"):
        assert cptlab.fit("dcpt", both, domain=domain, num_draws=0, heldout=False).objective < 1e-15
    with pytest.raises(UserError, match="holds the domains law, general; give domain="):
        cptlab.fit("dcpt", both)
    by_corpus = both.drop(columns=["domain_share", "general_share"]).assign(share_law=both["domain_share"])
    assert cptlab.fit("dcpt", by_corpus, domain="law", num_draws=0, heldout=False).objective < 1e-15


def test_two_sizes_are_flagged():
    fit = cptlab.fit("dcpt", grid(sizes=(1e8, 1e9), noise=0.003, checkpoints=7), num_draws=0)
    assert "two distinct values of num_params leave E, A, alpha unidentified." in fit.identifiability.sentences
    assert "size" not in fit.heldout


def test_seed_noise_is_the_pooled_deviation_of_repeats():
    table = grid(checkpoints=2, shares=(0.5, 1.0), sizes=(1e8,))
    repeats = pd.concat([
        table.assign(seed=seed, loss=table["loss"] + shift, run=table["run"] + str(seed))
        for seed, shift in ((0, -0.01), (1, 0.0), (2, 0.01))
    ])  # fmt: skip
    assert seed_noise(_observed(repeats)) == (pytest.approx(0.01), 4)
    assert seed_noise(_observed(table)) == (None, 0)


def test_runs_of_two_schedules_are_no_repeats_of_each_other():
    table = grid(checkpoints=2, shares=(0.5, 1.0), sizes=(1e8,))
    runs = pd.concat([
        table.assign(seed=seed, lr_area=area, loss=table["loss"] + shift, run=f"{area}" + table["run"] + str(seed))
        for seed, area, shift in ((0, 2.0, -0.01), (1, 2.0, 0.01), (0, 1.0, 0.5), (1, 1.0, 0.5))
    ])  # fmt: skip
    assert seed_noise(_observed(runs)) == (pytest.approx(0.01), 4)


def test_rows_without_a_loss_are_left_out_and_counted():
    table = grid(checkpoints=5)
    table.loc[[3, 7], "loss"] = np.nan
    table.loc[9, "loss"] = np.inf
    fit = cptlab.fit("dcpt", table, num_draws=0, heldout=False)
    assert fit.num_points == len(table) - 3
    assert "3 rows left out (loss is NaN or infinite in rows 3, 7, 9)" in fit.message


def test_the_row_before_the_first_update_is_the_base_loss_and_no_fit_row():
    table = grid(checkpoints=4).drop(columns="base_loss")
    start = table[table["tokens"] == 5e8].assign(tokens=0, loss=4.5)
    fit = cptlab.fit("dcpt", pd.concat([start, table]), num_draws=0)
    assert fit.num_points == len(table)
    assert (fit.observations["base_loss"] == 4.5).all()
    assert np.isfinite(fit.heldout["ratio"].rmse_delta)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": 0.0}, r"loss is 0 in rows 0, 1, 2 and \d+ more; .* between 0 \(exclusive\)"),
        ({"share": 1.2}, r"share is 1\.2 in rows 0, 1"),
        ({"tokens": 0.5}, r"tokens is 0\.5 in rows 0, 1"),
        ({"loss": "high"}, r"column loss holds something that is no number"),
    ],
)
def test_values_out_of_range_are_refused_by_name(change: dict, message: str):
    with pytest.raises(UserError, match=message):
        cptlab.fit("dcpt", grid().assign(**change))


def test_a_misspelt_column_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"no column num_params .* Did you mean num_param\?"):
        cptlab.fit("dcpt", grid().rename(columns={"num_params": "num_param"}))
    with pytest.raises(UserError, match=r"law=dcptt is not known\. Did you mean dcpt\?"):
        cptlab.fit("dcptt", grid())


def test_too_few_runs_are_answered_with_how_many_and_which():
    with pytest.raises(UserError, match=r"20 rows of 2 runs cannot fit law=dcpt .* Add 1 run with another share"):
        cptlab.fit("dcpt", grid(sizes=(1e8,), shares=(0.2, 0.7), checkpoints=10))
    with pytest.raises(UserError, match=r"6 rows of 3 runs cannot fit law=dcpt .* Add 2 rows"):
        cptlab.fit("dcpt", grid(sizes=(1e8,), shares=(0.2, 0.5, 0.7), checkpoints=2))


def test_a_run_with_two_losses_at_one_moment_is_refused():
    table = grid(checkpoints=4)
    with pytest.raises(UserError, match="has two losses after 5e\\+08 tokens"):
        cptlab.fit("dcpt", pd.concat([table, table.head(1).assign(loss=9.0)]))


def test_a_parameter_can_be_fixed():
    fit = cptlab.fit("dcpt", grid(noise=0.003), fixed={"E": 1.1}, num_draws=5, heldout=False)
    assert fit.parameters["E"] == 1.1
    assert (fit.draws[:, 0] == 1.1).all()
    with pytest.raises(UserError, match=r"fixed\.alfa is no parameter of dcpt\. Did you mean alpha"):
        cptlab.fit("dcpt", grid(), fixed={"alfa": 1})


def test_two_domains_with_draws_and_held_out_rows_take_seconds():
    start = time.perf_counter()
    for seed in (0, 1):
        cptlab.fit("dcpt", grid(shares=SHARES[:8], checkpoints=7, noise=0.01, seed=seed))
    assert time.perf_counter() - start < 20  # about 2 s on one free core


def test_fitting_needs_no_torch():
    code = "import sys, cptlab; cptlab.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _observed(table: pd.DataFrame) -> Observations:
    labels = {"domain": "", "split": "fit", "base": ""}
    return Observations(
        columns={n: table[n].to_numpy(float) for n in table if n not in ("run", "clean")},
        run=table["run"].to_numpy(str), origin="a test",
        **{name: np.full(len(table), value) for name, value in labels.items()},
    )  # fmt: skip
