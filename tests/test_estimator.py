"""LawRegressor: scikit-learn's conventions on a planted D-CPT grid and on the quick start's losses."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

import cptlab
from cptlab.laws.dcpt import DCPT

THETA = np.array([1.5, 20.0, 3.0, 0.6, 0.25, 0.5, 0.3, 0.1, 0.3])
QUICKSTART = Path(__file__).parents[1] / "docs" / "data" / "quickstart.csv"
# scikit-learn's checks that need no data, or data of which an estimator may say that it is of the wrong kind. Every
# other one feeds an array without names, which is what a law refuses.
APPLY = {
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types", "check_estimator_repr",
    "check_no_attributes_set_in_init", "check_estimators_unfitted", "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order", "check_parameters_default_constructible", "check_get_params_invariance", "check_set_params",
    "check_requires_y_none", "check_fit1d",
}  # fmt: skip


@pytest.fixture(scope="module")
def grid() -> tuple[pd.DataFrame, pd.Series]:
    """X, y without noise: 4 sizes x 6 shares x 4 moments; an index that is no range."""
    N, r, D = (
        x.ravel() for x in np.meshgrid([1e6, 3e6, 1e7, 3e7], [0.05, 0.2, 0.4, 0.6, 0.8, 1], [1e7, 2e7, 4e7, 8e7])
    )
    X = pd.DataFrame(
        {"num_params": N, "tokens": D, "share": r, "run": [f"{n:g} {s}" for n, s in zip(N, r, strict=True)]}
    )
    X.index = X.index[::-1] + 1000
    y = pd.Series(DCPT().predict(THETA, {name: X[name].to_numpy() for name in DCPT.inputs}), index=X.index)
    return X, y


@pytest.fixture(scope="module")
def fitted(grid) -> cptlab.LawRegressor:
    return cptlab.LawRegressor("dcpt").fit(*grid)


def test_the_checks_of_scikit_learn_that_apply_pass():
    passed = set()
    for estimator, check in estimator_checks_generator(cptlab.LawRegressor()):
        name = getattr(check, "func", check).__name__
        if name in APPLY:
            check(estimator)
            passed.add(name)
    assert passed == APPLY


def test_it_finds_a_planted_law_and_scores_one(grid, fitted):
    X, y = grid
    np.testing.assert_allclose(fitted.predict(X), y, rtol=1e-6)
    assert fitted.score(X, y) == pytest.approx(1, abs=1e-6)
    assert list(fitted.feature_names_in_) == list(X.columns)
    assert fitted.n_features_in_ == 4
    assert fitted.fit_.num_runs == 24


def test_columns_are_read_by_name_and_rows_one_by_one(grid, fitted):
    X, _ = grid
    some = X.iloc[[40, 3, 17]]
    np.testing.assert_allclose(
        fitted.predict(some[["share", "tokens", "num_params"]]), fitted.predict(X)[[40, 3, 17]], rtol=1e-12
    )


def test_a_loss_column_in_x_does_not_leak_and_y_is_taken_by_position(grid, fitted):
    X, y = grid
    again = cptlab.LawRegressor("dcpt").fit(X.assign(loss=1.0), y.to_numpy())
    np.testing.assert_array_equal(again.fit_.theta, fitted.fit_.theta)
    again = cptlab.LawRegressor("dcpt").fit(X, y.reset_index(drop=True))
    np.testing.assert_array_equal(again.fit_.theta, fitted.fit_.theta)


def test_a_second_fit_is_the_first_and_changes_no_parameter(grid):
    regressor = cptlab.LawRegressor("dcpt", fixed={"E": 1.5})
    before = regressor.get_params()
    one = regressor.fit(*grid).fit_.theta
    two = regressor.fit(*grid).fit_.theta
    np.testing.assert_array_equal(one, two)
    assert regressor.get_params() == before
    assert one[0] == 1.5


def test_clone_and_set_params_keep_the_law_and_drop_the_fit(fitted):
    law = cptlab.law("dcpt", min_irreducible=-10)
    copy = clone(fitted).set_params(law=law, seed=3)
    assert copy.get_params()["law"] is law
    assert clone(copy).law == law
    with pytest.raises(NotFittedError):
        copy.predict(pd.DataFrame())


def test_it_survives_a_pickle(grid, fitted):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(grid[0]), fitted.predict(grid[0]))


def test_whole_runs_are_left_out_by_a_group_splitter(grid):
    X, y = grid
    scores = cross_val_score(cptlab.LawRegressor(), X, y, groups=X["run"], cv=GroupKFold(3), error_score="raise")
    assert scores.shape == (3,)
    assert scores.min() > 0.9999


def test_a_search_over_laws_chooses_the_true_one(grid):
    X, y = grid
    search = GridSearchCV(cptlab.LawRegressor(), {"law": ["chinchilla", "dcpt"]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, y, groups=X["run"])
    assert search.best_params_ == {"law": "dcpt"}
    assert search.cv_results_["mean_test_score"][0] < 0.9


def test_it_fits_what_cptlab_fit_fits():
    table = cptlab.read_csv(str(QUICKSTART), domain="code")
    rows = table[table["domain"] == "code"]
    ours = cptlab.LawRegressor(num_draws=30).fit(rows.drop(columns="loss"), rows["loss"]).fit_
    theirs = cptlab.fit("dcpt", table, domain="code", num_draws=30, heldout=False)
    np.testing.assert_array_equal(ours.theta, theirs.theta)
    np.testing.assert_array_equal(ours.draws, theirs.draws)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, y: (X.iloc[:3], y.iloc[:3]), "3 rows of .* cannot fit law=dcpt"),
        (lambda X, y: (X.to_numpy(), y), "X is a ndarray; a law reads columns by name"),
        (lambda X, y: (X, y.iloc[1:]), r"y has the shape \(95,\) where X has 96 rows"),
        (lambda X, y: (X.rename(columns={"tokens": "token"}), y), "no column tokens .* Did you mean token?"),
        (lambda X, y: (X.assign(domain=["a", "b"] * 48), y), "the domains a, b; give domain"),
        (lambda X, y: (X.assign(share=1.2), y), "share is 1.2"),
    ],
    ids=["rows", "array", "lengths", "column", "domains", "range"],
)
def test_a_mistake_is_one_sentence(grid, change, words):
    with pytest.raises(cptlab.UserError, match=words) as error:
        cptlab.LawRegressor("dcpt").fit(*change(*grid))
    assert "\n" not in str(error.value)
