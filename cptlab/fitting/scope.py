"""Which rows a law speaks of: inside its valid intervals, at one moment where it knows no time.

Every law's rows pass here. A law of the final loss (`one` holds `tokens`) is the special case of the last
row of each run, provided that all runs end alike.
"""

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Law
from cptlab.records.observations import Observations

ALIKE = 0.01  # [1] relative spread within which runs count as equally long
EXACT = 1e-6  # [1] the same for every other column but shares
GAP = 0.01  # [1] shares nearer than this count as one
EARLIER = "rows before the last of their run (the law knows no time)"


def is_share(name: str) -> bool:
    """Whether a column tells the mixture: `share`, `domain_share`, `share_<corpus>`."""
    return name in ("share", "domain_share") or name.startswith("share_")


def in_scope(rows: Observations, law: Law) -> Observations:
    """The rows that the law can be fitted to; those left out are counted by reason."""
    for name, (low, high) in law.valid.items():
        outside = f"{name} outside ({low:g}, {high:g}), where law={law.variant_name} says nothing"
        rows = _keep(rows, (rows[name] > low) & (rows[name] < high), outside)
    if "tokens" in law.one and "tokens" in rows.columns:
        rows = _keep(rows, _is_last(rows), EARLIER)
    if not len(rows):
        raise UserError(f"no row is left for law={law.variant_name}: " + "; ".join(rows.left_out))
    for name in law.one:
        if name in rows.columns:
            _refuse_several(rows, law, name)
    return rows


def _keep(rows: Observations, mask: np.ndarray, reason: str) -> Observations:
    if mask.all():
        return rows
    left_out = dict(rows.left_out)
    left_out[reason] = left_out.get(reason, 0) + int((~mask).sum())
    kept = rows.where(mask)
    return Observations(
        kept.columns, kept.run, kept.domain, kept.split, kept.base, kept.origin, left_out, general=kept.general
    )


def _is_last(rows: Observations) -> np.ndarray:
    """Rows (n,) with the most tokens of their run."""
    _, which = np.unique(rows.run, return_inverse=True)
    most = np.zeros(which.max(initial=-1) + 1)
    np.maximum.at(most, which, rows["tokens"])
    return rows["tokens"] == most[which]


def _refuse_several(rows: Observations, law: Law, name: str) -> None:
    low, high = float(rows[name].min()), float(rows[name].max())
    apart = GAP if "share" in name else (ALIKE if name == "tokens" else EXACT) * abs(high)
    if high - low > apart:
        at = "; keep the rows of one moment, and give the column `run`" if name == "tokens" else "; fit each apart"
        raise UserError(
            f"law={law.variant_name} takes one value of {name} a fit, the table has {low:g} to {high:g}{at}."
        )
