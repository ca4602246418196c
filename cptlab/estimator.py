"""A law as a scikit-learn regressor: cross-validation by groups, searches over laws, pipelines' conventions.

The one module that imports scikit-learn; `cptlab.LawRegressor` imports it at first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from cptlab.errors import UserError
from cptlab.fitting.fit import fit
from cptlab.fitting.objective import DELTA
from cptlab.laws.base import Law


class LawRegressor(RegressorMixin, BaseEstimator):
    """Predicts the loss of one corpus [nat/token] from named columns, by a law.

    X is a DataFrame with the column names of `cptlab.units` (the inputs of the law, and `run`, which groups rows that
    are not independent: give it to a group splitter, `cross_val_score(LawRegressor(), X, y, groups=X["run"],
    cv=GroupKFold(3))`); y is the loss. Other columns are carried along and not read; a column `loss` in X is
    overridden by y. scikit-learn's own checks that feed unnamed arrays, or wait for errors about them, do not apply:
    a law knows its inputs by name.

    law: name of a law, or a Law (`cptlab.law("dcpt", min_irreducible=-10)`). general: name of the general corpus.
    num_draws: bootstrap refits, 0 for none: only intervals need them. heldout: measure the errors of `fit_.heldout`
    too. seed: of the draws. fixed: parameters held at a value. delta: Huber threshold.

    After `fit`: fit_ (a `cptlab.fitting.result.Fit`), feature_names_in_, n_features_in_. UserError (a ValueError) says
    in one sentence what is wrong with a table.
    """

    fit_: Any
    feature_names_in_: NDArray[Any]
    n_features_in_: int

    def __init__(
        self, law: str | Law = "dcpt", *, general: str = "general", num_draws: int = 0, heldout: bool = False,
        seed: int = 0, fixed: Mapping[str, float] | None = None, delta: float = DELTA,
    ) -> None:  # fmt: skip
        self.law = law
        self.general = general
        self.num_draws = num_draws
        self.heldout = heldout
        self.seed = seed
        self.fixed = fixed
        self.delta = delta

    def fit(self, X: Any, y: Any) -> LawRegressor:
        """Fit to X (n rows) and the losses y (n,) [nat/token], row by row in their order."""
        if y is None:
            raise UserError(
                "LawRegressor requires y to be passed, but the target y is None; give the losses [nat/token]"
            )
        loss = np.asarray(y, dtype=np.float64)
        if loss.ndim != 1 or len(loss) != len(_frame(X)):
            raise UserError(f"y has the shape {loss.shape} where X has {len(X)} rows; give one loss a row")
        fitted = fit(
            self.law, X.assign(loss=loss), general=self.general, num_draws=self.num_draws, heldout=self.heldout,
            seed=self.seed, fixed=self.fixed, delta=self.delta,
        )  # fmt: skip
        self.fit_ = fitted
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = len(X.columns)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Losses (n,) [nat/token] of the rows of X, of which only the inputs of the law are read."""
        check_is_fitted(self, "fit_")
        return np.asarray(self.fit_.predict(_frame(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True  # `run`, `domain`
        tags.input_tags.allow_nan = True  # such rows are left out and counted
        return tags


def _frame(X: Any) -> Any:
    """X if it is a DataFrame, else UserError."""
    import pandas as pd

    if not isinstance(X, pd.DataFrame):
        raise UserError(
            f"X is a {type(X).__name__}; a law reads columns by name, so give a pandas DataFrame with columns such as "
            "num_params, tokens, share, run"
        )
    return X
