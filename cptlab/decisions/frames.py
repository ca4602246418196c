"""A recommendation as pandas DataFrames and as a cell of a notebook; pandas is imported at first use."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.units import QUANTITIES, quantity

if TYPE_CHECKING:
    import pandas as pd

    from cptlab.decisions.recommendation import Recommendation

COLUMNS = ["value", "low", "high", "unit", "base", "change"]


def answer(found: Recommendation) -> pd.DataFrame:
    """`Recommendation.to_frame`."""
    import pandas as pd

    rows: dict[str, list[Any]] = {}
    for name, value in found.choice.items():
        rows[name] = [value, *found.interval.get(name, (np.nan, np.nan)), _unit(name), np.nan, np.nan]
    for name, (low, mid, high) in found.predicted.items():
        base = found.base_loss.get(name, np.nan)
        rows[f"loss_{name}"] = [mid, low, high, "nat/token", base, mid / base - 1]
    index = pd.Index(list(rows), name="quantity", dtype=object)
    return pd.DataFrame(list(rows.values()), index=index, columns=COLUMNS)


def table(found: Recommendation) -> pd.DataFrame:
    """`Recommendation.table_frame`."""
    import pandas as pd

    return pd.DataFrame(found.table)


def short(found: Recommendation) -> str:
    """One line."""
    parts = []
    for name, value in found.choice.items():
        text = value if isinstance(value, str) else f"{value:.4g}"
        if name in found.interval:
            low, high = found.interval[name]
            text += f" [{low:.4g}, {high:.4g}]"
        if name in found.interval or isinstance(value, str):
            parts.append(f"{name} {text}")
    parts += [f"{len(found.table)} rows"] if found.table and not parts else []
    end = f" at {found.level:.0%}" if found.interval else ""
    return f"<Recommendation {found.verdict}{': ' if parts else ''}{', '.join(parts)}{end}>"


def html(found: Recommendation) -> str:
    """Verdict and reason, the answer, its table, and what binds, extrapolates and comes next."""
    parts = [f"<p><b>{escape(found.verdict.replace('_', ' '))}</b>: {escape(found.because)}</p>"]
    frames = [frame for frame in (answer(found), table(found)) if len(frame)]
    parts += [frame.to_html(float_format="{:.4g}".format, na_rep="") for frame in frames]
    lines = [("binding", found.binding)] * bool(found.binding)
    lines += [("extrapolates", sentence) for sentence in found.extrapolation]
    lines += [("first", ", ".join(f"{k}={v}" for k, v in run.items())) for run in found.next_runs]
    lines += [("command", found.command)] if found.command else []
    items = "".join(f"<li>{escape(label)}: {escape(text)}</li>" for label, text in lines)
    return "".join(parts) + (f"<ul>{items}</ul>" if items else "")


def _unit(name: str) -> str:
    unit = quantity(name).unit if name in QUANTITIES or name.startswith("share_") else ""
    return "" if unit == "1" else unit
