"""A fit in a notebook: pandas in and out, and cells that show it."""

import numpy as np
import pandas as pd
import pytest
from known_grid import TRUTH, grid

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.fit import fit


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return grid(sizes=(5e8, 1e9, 1.8e9, 4e9), checkpoints=6, noise=0.002).assign(domain="law")


@pytest.fixture(scope="module")
def fitted(table):
    return fit("dcpt", table, num_draws=60)


def test_a_frame_is_predicted_as_a_series_with_its_index(table, fitted):
    some = table.sample(20, random_state=0)
    got = fitted.predict(some)
    assert isinstance(got, pd.Series)
    assert got.name == "loss"
    pd.testing.assert_index_equal(got.index, some.index)
    arrays = fitted.predict({name: some[name].to_numpy() for name in fitted.law.inputs})
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(got, arrays)


def test_intervals_of_predictions_hold_the_curve_and_widen_with_their_level(table, fitted):
    some = table.iloc[::7]
    wide, narrow = fitted.predict_interval(some, 0.99), fitted.predict_interval(some, 0.5)
    pd.testing.assert_index_equal(wide.index, some.index)
    assert list(wide.columns) == ["low", "mid", "high"]
    np.testing.assert_array_equal(wide["mid"], fitted.predict(some))
    assert (wide["low"] <= narrow["low"]).all()
    assert (narrow["low"] <= narrow["mid"]).all()
    assert (narrow["high"] <= wide["high"]).all()
    expected = np.quantile(fitted.predict_draws(some), 0.995, axis=0)
    np.testing.assert_array_equal(wide["high"], np.maximum(expected, wide["mid"]))
    inside = (wide["low"] <= some["clean"]) & (some["clean"] <= wide["high"])
    assert inside.mean() > 0.9


def test_parameters_come_with_interval_unit_and_remark(fitted):
    frame = fitted.parameters_frame(0.8)
    assert list(frame.index) == list(fitted.law.parameter_names)
    assert frame["value"].to_dict() == fitted.parameters
    assert (frame.loc["E", "low"], frame.loc["E", "high"]) == fitted.interval("E", 0.8)
    assert frame.loc["E", "unit"] == "nat/token"


def test_a_parameter_that_the_data_cannot_tell_is_remarked(table):
    one_size = fit("dcpt", table[table["num_params"] == 5e8], num_draws=0, heldout=False).parameters_frame()
    assert "cannot be known" in one_size.loc["A", "remark"]
    assert one_size["low"].isna().all()


def test_held_out_errors_stand_beside_those_of_the_baselines(fitted):
    frame = fitted.heldout_frame()
    assert frame.loc[("ratio", "dcpt"), "rmse"] == fitted.heldout["ratio"].rmse
    assert frame.loc[("size", "no_law"), "mape"] == fitted.baselines["no_law"]["size"].mape
    assert set(frame.index.get_level_values(0)) == {
        "ratio",
        "ratio_ends",
        "tokens",
        "token_segments",
        "size",
        "size_folds",
    }
    assert set(frame.index.get_level_values(1)) == {"dcpt", "nearest_run", "quadratic", "no_law"}


def test_the_fitted_rows_show_their_residuals(table, fitted):
    rows = fitted.to_frame()
    assert len(rows) == len(table)
    np.testing.assert_allclose(rows["loss"] - rows["predicted"], rows["residual"])
    assert rows["residual"].std() < 0.02


def test_a_frame_and_the_rows_it_came_from_give_the_same_fit(fitted):
    again = fit("dcpt", fitted.to_frame(), num_draws=60)
    np.testing.assert_array_equal(again.theta, fitted.theta)
    np.testing.assert_array_equal(again.draws, fitted.draws)


def test_rows_of_another_corpus_are_refused(table, fitted):
    mixed = table.assign(domain=["law", "prose"] * (len(table) // 2))
    with pytest.raises(
        UserError, match=r'holds rows of prose, this fit is of law; give its rows, table\[table\["domain"\]'
    ):
        fitted.predict(mixed)
    with pytest.raises(UserError, match="holds rows of prose"):
        fitted.predict_interval(mixed)


def test_intervals_need_draws_and_a_level(table):
    without = fit("chinchilla", table[table["share"] == 0.5], num_draws=0, heldout=False)
    with pytest.raises(UserError, match="no draws"):
        without.predict_interval(table)
    with pytest.raises(UserError, match=r"level is 1\.2"):
        fit("chinchilla", table[table["share"] == 0.5], num_draws=20, heldout=False).predict_interval(table, 1.2)


def test_a_fit_is_one_line_and_its_cell_escapes_names(table, fitted):
    assert repr(fitted).startswith("<Fit dcpt of law: R2 0.9")
    assert "216 rows of 36 runs, 60 draws" in repr(fitted)
    cell = fitted._repr_html_()
    assert "<table" in cell
    assert "nearest_run" in cell
    odd = fit("dcpt", table.assign(domain="<script>"), num_draws=0, heldout=False)
    assert "<script>" not in odd._repr_html_()
    assert "&lt;script&gt;" in odd._repr_html_()


def test_every_corpus_is_fitted_alike(table):
    both = pd.concat([table, table.assign(domain="prose", loss=table["loss"] + 0.1)])
    fits = cptlab.fit_domains("dcpt", both, num_draws=20, seed=3, heldout=False)
    assert list(fits) == ["law", "prose"]
    alone = fit("dcpt", both, domain="prose", num_draws=20, seed=3, heldout=False)
    np.testing.assert_array_equal(fits["prose"].draws, alone.draws)
    assert list(cptlab.fit_domains("dcpt", both, ["prose"], num_draws=0, heldout=False)) == ["prose"]
    with pytest.raises(UserError, match="no column domain"):
        cptlab.fit_domains("dcpt", table.drop(columns="domain"))


def test_a_law_by_name_takes_its_options():
    assert cptlab.law("dcpt", min_irreducible=-10).linear["E"].low == -10
    assert len(TRUTH) == len(cptlab.law("dcpt").parameters)
    with pytest.raises(UserError, match=r"law=dcp is not known\. Did you mean dcpt\?"):
        cptlab.law("dcp")
    with pytest.raises(UserError, match=r"law\.min_irreducibel is no option\. Did you mean min_irreducible\?"):
        cptlab.law("dcpt", min_irreducibel=1)
    with pytest.raises(UserError, match=r"law\.a is no option\. \(law=chinchilla has none\)"):
        cptlab.law("chinchilla", a=1)
