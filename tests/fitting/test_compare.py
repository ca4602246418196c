"""Laws held against each other: who is chosen, on which rows, and why others are not."""

import json

import numpy as np
import pandas as pd
import pytest
from known_grid import grid

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.chosen import comparison_lines, laws_for
from cptlab.fitting.comparison import Comparison
from cptlab.fitting.ranking import clustered
from cptlab.fitting.table import as_observations
from cptlab.laws.auto import Auto
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.dcpt import DCPT


@pytest.fixture(scope="module")
def made_from_dcpt() -> Comparison:
    return cptlab.compare(grid(checkpoints=7, noise=0.005), laws=["dcpt", "chinchilla", "bimix", "cmr", "multi_power"])


def test_the_law_that_made_the_data_is_chosen_and_the_others_are_told_apart(made_from_dcpt: Comparison):
    assert made_from_dcpt.chosen == "dcpt"
    assert isinstance(made_from_dcpt.law, DCPT)
    assert made_from_dcpt.rows[0].law_name == "dcpt"
    assert made_from_dcpt["dcpt"].rmse_delta < 0.3 * made_from_dcpt["chinchilla"].rmse_delta
    assert made_from_dcpt["dcpt"].num_free == 9
    assert "runner-up chinchilla" in made_from_dcpt.why
    assert made_from_dcpt.protocols == ("ratio", "tokens")


def test_rows_come_best_first_with_the_baselines_among_them(made_from_dcpt: Comparison):
    errors = [row.rmse_delta for row in made_from_dcpt.rows]
    assert errors == sorted(errors)
    assert {row.law_name for row in made_from_dcpt.rows if row.is_baseline} == {"nearest_run", "quadratic", "no_law"}
    assert len({row.num_heldout for row in made_from_dcpt.rows}) == 1


def test_a_law_that_does_not_fit_the_columns_is_left_out_with_its_sentence(made_from_dcpt: Comparison):
    assert set(made_from_dcpt.left_out) == {"bimix", "cmr", "multi_power"}
    assert "bimix takes one value of num_params" in made_from_dcpt.left_out["bimix"]
    assert "no column domain_share" in made_from_dcpt.left_out["cmr"]


def test_a_fit_alone_has_the_same_held_out_error_as_its_row(made_from_dcpt: Comparison):
    alone = cptlab.fit("dcpt", grid(checkpoints=7, noise=0.005), num_draws=0)
    for protocol in ("ratio", "tokens"):
        assert made_from_dcpt["dcpt"].heldout[protocol].rmse == pytest.approx(alone.heldout[protocol].rmse, rel=1e-6)
        nearest = made_from_dcpt["dcpt"].baselines["nearest_run"][protocol]
        assert nearest.rmse == pytest.approx(alone.baselines["nearest_run"][protocol].rmse)


def test_the_simpler_law_is_taken_where_the_data_do_not_tell():
    rng = np.random.default_rng(3)
    N, D = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9, 3e9], np.geomspace(1e9, 1e10, 8), indexing="ij"))
    loss = Chinchilla().predict(np.array([1.7, 400.0, 400.0, 0.34, 0.28]), {"num_params": N, "tokens": D})
    table = {
        "num_params": N,
        "tokens": D,
        "unique_tokens": D,
        "loss": loss * np.exp(0.003 * rng.standard_normal(len(N))),
    }
    found = cptlab.compare(table, laws=["crosslingual", "data_constrained", "chinchilla"])
    assert found.chosen == "chinchilla"
    assert found["chinchilla"].num_free == 5
    best = found.rows[0]
    limit = best.rmse_delta**2 + 2 * best.rmse_delta * best.standard_error  # SE of the mean square
    assert found["chinchilla"].rmse_delta ** 2 <= limit * (1 + 1e-9)


def test_at_one_share_auto_takes_the_law_without_one_and_says_which_it_is():
    table = grid(checkpoints=7, shares=(0.5,), noise=0.003)
    fit = cptlab.fit("auto", table, num_draws=0)
    assert fit.law_name == "chinchilla"
    assert fit.message.startswith("law=auto: chinchilla (5 parameters)")
    reason = cptlab.compare(table).left_out["dcpt"]
    assert "needs at least 3 distinct values of share, there is 1" in reason
    with pytest.raises(UserError, match="needs at least 3 distinct values of share"):
        cptlab.fit("dcpt", table)


def test_at_one_size_what_cannot_be_known_is_counted_out_and_said():
    found = cptlab.compare(grid(sizes=(1e9,), checkpoints=8, noise=0.003), laws=["dcpt", "chinchilla"])
    assert found.chosen == "dcpt"
    assert found["dcpt"].num_free == 7
    assert "one distinct value of num_params: A, alpha cannot be known" in found.why


def test_one_law_is_chosen_for_all_domains_by_their_pooled_error(python_70m):
    table = pd.concat([part.assign(domain=name) for name, part in python_70m.items()])
    laws = ["chinchilla", "bimix"]
    found = cptlab.compare(table, laws=laws)
    assert found.domains == ("python", "pile")
    assert found.chosen == "bimix"
    assert found["bimix"].num_points == 2 * len(python_70m["python"])
    single = [cptlab.compare(table, domain=name, laws=laws)["bimix"] for name in found.domains]
    pooled = np.sqrt(np.mean([row.rmse_delta**2 for row in single]))
    assert found["bimix"].rmse_delta == pytest.approx(pooled, rel=1e-6)
    assert "baseline quadratic predicts better still" in found.why


def test_a_law_of_the_final_loss_is_judged_apart_and_not_chosen(python_70m):
    table = python_70m["python"].assign(domain_share=python_70m["python"]["share"])
    found = cptlab.compare(table, laws=["dcpt", "cmr"])
    assert not found["cmr"].comparable
    assert found.chosen == "dcpt"
    assert "judged on its own rows and so not chosen" in found["cmr"].note
    assert found.rows[-1].law_name == "cmr"
    assert cptlab.compare(table, laws=["cmr"]).chosen == "cmr"


def test_a_comparison_is_plain_numbers_and_a_flat_table(made_from_dcpt: Comparison):
    entry = json.loads(json.dumps(made_from_dcpt.to_json(), allow_nan=False))
    assert entry["chosen"] == "dcpt"
    assert entry["rows"][0]["heldout"]["ratio"]["num_points"] == 3 * 7 * 7
    flat = made_from_dcpt.table()
    assert [row["law"] for row in flat if row["chosen"]] == ["dcpt"]
    assert {"rmse_ratio", "rmse_tokens", "rmse_token_segments"} <= set(flat[0])
    lines = comparison_lines([made_from_dcpt], auto=True)
    assert max(map(len, lines)) <= 114
    assert any(line.strip().startswith("* dcpt") for line in lines)


def test_each_domain_has_its_own_law_only_where_none_fits_all():
    table = grid(checkpoints=4, shares=(0.0, 0.1, 0.2, 0.3, 0.5, 0.8), noise=0.003)
    both = as_observations(pd.concat([table.assign(domain=d) for d in "ab"]))
    laws, compared = laws_for(Auto(), both)
    assert [one.domains for one in compared] == [("a", "b")]
    assert laws["a"] is laws["b"]
    final = table[(table["tokens"] == 2e9) & (table["num_params"] == 5e8)].drop(columns=["share", "num_params"])
    shares = {"domain_share": final["run"].str.split("-").str[1].astype(float), "domain": "b"}
    parts = [table.assign(domain="a", domain_share=np.nan), final.assign(**shares)]
    laws, compared = laws_for(Auto(), as_observations(pd.concat(parts)))
    assert {name: law.variant_name for name, law in laws.items()} == {"a": "dcpt", "b": "cmr"}
    with pytest.raises(UserError, match="none of"):
        laws_for(Auto(), both.where(np.arange(len(both)) < 2))
    named, nothing = laws_for(DCPT(), both)
    assert set(named) == {"a", "b"}
    assert nothing == []


def test_nothing_to_compare_and_misspelt_names_are_refused():
    with pytest.raises(UserError, match=r"law dctp is not known\. Did you mean dcpt\?"):
        cptlab.compare(grid(checkpoints=4), laws=["dctp"])
    with pytest.raises(UserError, match=r"none of 1 laws can be fitted .* law=multi_power: .*no column lr_area"):
        cptlab.compare(grid(checkpoints=4), laws=["multi_power"])
    with pytest.raises(UserError, match=r"fixed\.alfa is no parameter of any law compared\. Did you mean alpha"):
        cptlab.compare(grid(checkpoints=4), laws=["dcpt"], fixed={"alfa": 1.0})


def test_the_standard_error_of_a_mean_treats_a_run_as_one_observation():
    values, run = np.array([1.0, 1.0, 3.0, 3.0]), np.array(["a", "a", "b", "b"])
    assert clustered(values, run) == pytest.approx(1.0)  # of two runs: sqrt(2 / 1 * (2^2 + 2^2)) / 4
    assert clustered(values, np.arange(4).astype(str)) == pytest.approx(np.std(values, ddof=1) / 2)
    assert np.isnan(clustered(values, np.full(4, "a")))
