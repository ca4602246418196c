"""A fit as pandas DataFrames and as a cell of a notebook; pandas is imported at first use."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Array
from cptlab.records.frames import to_frame

if TYPE_CHECKING:
    import pandas as pd

    from cptlab.fitting.holdout import HeldOut
    from cptlab.fitting.result import Fit

ERRORS = ("rmse", "rmse_delta", "mape", "r2", "r2_delta", "num_points")


def is_frame(table: Any) -> bool:
    """Whether a table is a pandas DataFrame (known without importing pandas)."""
    return all(hasattr(table, name) for name in ("columns", "index", "iloc"))


def only_of(table: Any, domain: str) -> Any:
    """The table; UserError where its rows are about another corpus: their `share` would be read as this one's."""
    if is_frame(table) and domain and "domain" in table.columns:
        others = [name for name in dict.fromkeys(map(str, table["domain"])) if name != domain]
        if others:
            raise UserError(
                f"the table holds rows of {', '.join(others)}, this fit is of {domain}; give its rows, "
                f'table[table["domain"] == "{domain}"], or drop the column domain'
            )
    return table


def like(table: Any, values: Array) -> Any:
    """Values (n,) as a Series `loss` with the table's index if that is a DataFrame, else as they are."""
    if not is_frame(table):
        return values
    import pandas as pd

    return pd.Series(values, index=table.index, name="loss")


def interval(fit: Fit, table: Any, level: float) -> pd.DataFrame:
    """`Fit.predict_interval`."""
    import pandas as pd

    if not fit.num_draws:
        raise UserError("this fit has no draws; fit with num_draws > 0.")
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1")
    mid = np.asarray(fit.predict(table))
    low, high = np.quantile(fit.predict_draws(table), [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns = {"low": np.minimum(low, mid), "mid": mid, "high": np.maximum(high, mid)}
    return pd.DataFrame(columns, index=table.index if is_frame(table) else None)


def parameters(fit: Fit, level: float) -> pd.DataFrame:
    """`Fit.parameters_frame`."""
    import pandas as pd

    known, rows = fit.identifiability, []
    for name, value in fit.parameters.items():
        low, high = fit.interval(name, level) if fit.num_draws else (np.nan, np.nan)
        remarks = {
            "cannot be known": name in known.unknown,
            "at its bound": name in known.at_bound,
            "flat valley": name in (*known.valley, *known.loose),
        }
        remark = ", ".join(text for text, holds in remarks.items() if holds)
        rows.append((name, value, low, high, fit.law.parameters[name].unit, remark))
    names = ["parameter", "value", "low", "high", "unit", "remark"]
    return pd.DataFrame(rows, columns=names).set_index("parameter")


def heldout(fit: Fit) -> pd.DataFrame:
    """`Fit.heldout_frame`."""
    import pandas as pd

    tables: dict[str, dict[str, HeldOut]] = {fit.law_name: fit.heldout, **fit.baselines}
    rows = {
        (protocol, name): {error: getattr(held[protocol], error) for error in ERRORS}
        for protocol in fit.heldout
        for name, held in tables.items()
        if protocol in held
    }
    index = pd.MultiIndex.from_tuples(rows, names=["left_out", "predicted_by"]) if rows else None
    return pd.DataFrame(list(rows.values()), index=index, columns=list(ERRORS))


def fitted_rows(fit: Fit) -> pd.DataFrame:
    """`Fit.to_frame`."""
    return to_frame(fit.observations).assign(predicted=fit.predicted, residual=fit.residuals)


def short(fit: Fit) -> str:
    """One line."""
    of = f" of {fit.domain}" if fit.domain else ""
    rows = f"{fit.num_points} rows of {fit.num_runs} runs"
    return f"<Fit {fit.law_name}{of}: R2 {fit.r2:.4f} over {rows}, {fit.num_draws} draws>"


def html(fit: Fit) -> str:
    """The line, the parameters, the held-out errors and what the data cannot tell."""
    parts = [f"<p><b>{escape(short(fit)[1:-1])}</b></p>", parameters(fit, 0.9).to_html(float_format="{:.4g}".format)]
    if fit.heldout:
        parts.append(heldout(fit).to_html(float_format="{:.4g}".format))
    known = [*fit.identifiability.sentences, *([] if fit.success else [fit.message])]
    return "".join(parts) + "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in known) + "</ul>"
