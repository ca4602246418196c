"""Any table to checked Observations of one domain: a DataFrame, a mapping of columns, or Observations."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.fitting.scope import in_scope, is_share
from cptlab.laws.base import Array, Law
from cptlab.records.base_areas import MEND
from cptlab.records.observations import Observations
from cptlab.units import LR_DROP_NAMES, QUANTITIES, quantity

if TYPE_CHECKING:
    from cptlab.fitting.result import Fit

LABELS = ("run", "domain", "split", "base_id")
RUN_OF = ("num_params", "share", "seed", "base_id", "peak_lr")  # what tells runs apart where no column does
LR_INPUTS = {"lr_area", "anneal_area", *(name for node in LR_DROP_NAMES for name in node)}  # the LR's own clocks
BASE_INPUTS = {"base_lr_area", "base_anneal_area"}
Table = Observations | Mapping[str, Any]


def to_observations(table: Table, law: Law, domain: str | None, general: str = "general") -> Observations:
    """The fit rows of one domain, checked, in one order for any origin.

    Rows with missing values are left out and counted, and rows before the end of a decaying run too (`lr_settled`
    0) where the law has no LR inputs.

    table: Observations, DataFrame or mapping name -> column (a single number holds for all rows).
    domain: None where the table has one. general: name of the general corpus, whose share is `general_share`.
    """
    observations = as_observations(table)
    domains = observations.domains
    if domain is None and len(domains) > 1:
        raise UserError(f"the table holds the domains {', '.join(domains)}; give domain=, one fit each.")
    domain = domains[0] if domain is None and domains else domain or ""
    if domain not in domains:
        raise UserError(f"domain {domain} has no rows in {observations.origin}.{closest(domain, domains)}")
    rows = observations.of_domain(domain)
    if not len(rows):
        raise UserError(f"domain {domain} has no rows of split fit in {observations.origin}; record that split.")
    columns = with_share(rows.columns, law, domain, general)
    seen = (*columns, *table.unused) if isinstance(table, Observations) else table
    need(columns, ("loss", *(x for x in law.inputs if x != "base_loss")), rows.origin, seen)
    rows = _named_runs(settled(replace(rows, columns=columns), law).in_order())
    rows = _without_base_rows(rows)
    need(rows.columns, law.inputs, rows.origin, seen)
    return in_scope(_checked(rows, law), law)


def settled(rows: Observations, law: Law) -> Observations:
    """The rows that the law may read: all of them if it has LR inputs, else those with `lr_settled` 1."""
    if "lr_settled" not in rows.columns or LR_INPUTS & set(law.inputs):
        return rows
    return rows.without(
        rows["lr_settled"] == 0, f"rows before the end of a decaying run (law={law.variant_name} has no LR inputs)"
    )


def left_out(table: Observations, fits: Iterable["Fit"]) -> dict[str, int]:
    """Reason -> rows: what the reader of a table left out, and then its fits."""
    counts = Counter(table.left_out)
    for fit in fits:
        more = Counter(fit.observations.left_out)
        more.subtract(table.left_out)
        counts.update({reason: count for reason, count in more.items() if count > 0})
    return dict(counts)


def column_names(table: Table) -> list[str]:
    """Names of the columns of any table."""
    return list(map(str, table.columns if isinstance(table, Observations) else table))


def as_observations(table: Table) -> Observations:
    """Any table as Observations, of all its domains and unchecked."""
    return table if isinstance(table, Observations) else _from_columns(table)


def with_share(columns: Mapping[str, Array], law: Law, domain: str, general: str) -> dict[str, Array]:
    """Columns with `share`, the achieved share of `domain`, taken from the column that holds it."""
    columns = dict(columns)
    if "share" in columns or not any(map(is_share, law.inputs)):
        return columns
    by_role = "general_share" if domain == general else "domain_share"
    for name in (f"share_{domain}", by_role):
        if name in columns:
            return columns | {"share": columns[name]}
    return columns


def need(columns: Iterable[str], names: Iterable[str], where: str, seen: Iterable[str] | None = None) -> None:
    """Refuse a table that lacks a column, with the nearest of the names that it has (`seen`)."""
    known = list(columns)
    for name in names:
        if name not in known:
            near = closest(name, map(str, known if seen is None else seen))
            if name in BASE_INPUTS:
                near = f" The LR history of a base is not known; {MEND}, or fit law.open_base=true."
            elif name in LR_INPUTS:
                near = " Laws with LR inputs need runs of which at least one decays; docs/sources.md says more."
            raise UserError(f"{where} has no column {name} [{quantity(name).unit}].{near}")


def law_columns(table: Any, law: Law, domain: str, general: str) -> dict[str, Array]:
    """The inputs of a law from any table, checked for range, for predictions."""
    columns = table.columns if isinstance(table, Observations) else _numbers(table)[0]
    columns = with_share(columns, law, domain, general)
    need(columns, law.inputs, "the table", None if isinstance(table, Observations) else table)
    for name in law.inputs:
        _check_range(name, columns[name])
    return {name: columns[name] for name in law.inputs}


def _numbers(table: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
    """Known numeric columns of equal length; single numbers are repeated."""
    known = [str(name) for name in table if _is_quantity(str(name))]
    columns: dict[str, Array] = {}
    for name in known:
        try:
            columns[name] = np.atleast_1d(np.asarray(table[name], dtype=np.float64))
        except (TypeError, ValueError):
            raise UserError(f"column {name} holds something that is no number.") from None
    n = max((len(np.atleast_1d(np.asarray(table[name]))) for name in table), default=0)
    for name, column in columns.items():
        if len(column) not in (1, n):
            raise UserError(f"column {name} has {len(column)} values where the table has {n} rows.")
    return {name: np.broadcast_to(column, (n,)).copy() for name, column in columns.items()}, n


def _from_columns(table: Mapping[str, Any]) -> Observations:
    if not hasattr(table, "keys"):
        raise UserError("a table is a pandas DataFrame, a mapping of columns, or Observations.")
    columns, n = _numbers(table)
    labels = {
        name: np.broadcast_to(np.asarray(table[name], dtype=str), (n,)) if name in table else np.full(n, default)
        for name, default in zip(LABELS, ("", "", "fit", ""), strict=True)
    }
    return Observations(
        columns=columns, run=labels["run"], domain=labels["domain"], split=labels["split"],
        base=labels["base_id"], origin="the table", row=np.arange(n),
        general=str(getattr(table, "attrs", {}).get("general", "")),
    )  # fmt: skip


def _named_runs(rows: Observations) -> Observations:
    """Runs named where the table names none: rows alike in all but tokens if shares vary, else each row."""
    if (rows.run != "").all():
        return rows
    names = np.array([f"row{i:06d}" for i in range(len(rows))])
    if "share" in rows.columns:
        alike = [rows[name] for name in RUN_OF if name in rows.columns]
        keys = ["|".join(f"{x:.9g}" for x in key) for key in zip(*alike, strict=True)]
        names = np.array([f"{key}|{base}" for key, base in zip(keys, rows.base, strict=True)])
    run = np.where(rows.run == "", names, rows.run)
    return replace(rows, run=run)


def _without_base_rows(rows: Observations) -> Observations:
    """Rows at 0 tokens give their run's base loss if the table has no such column; they are no fit rows."""
    if "tokens" not in rows.columns or not (start := rows["tokens"] == 0).any():
        return rows
    columns = dict(rows.columns)
    if "base_loss" not in columns:
        base = dict(zip(rows.run[start].tolist(), rows["loss"][start].tolist(), strict=True))
        columns["base_loss"] = np.array([base.get(run, np.nan) for run in rows.run.tolist()])
    return replace(rows, columns=columns).where(~start)


def _checked(rows: Observations, law: Law) -> Observations:
    used = ["loss", *law.inputs]
    finite = np.all([np.isfinite(rows[name]) for name in used], axis=0)
    if not finite.any():
        empty = [name for name in used if not np.isfinite(rows[name]).any()]
        why = f"{', '.join(empty)} is known in none of them" if empty else "loss or an input is NaN in each"
        raise UserError(f"no row of {', '.join(rows.domains) or 'the table'} can be fitted: {why}")
    for name in used:
        unknown = ~np.isfinite(rows[name])
        rows = rows.without(unknown, f"{name} is NaN or infinite in {rows.name_rows(unknown)}")
    for name in used:
        _check_range(name, rows[name], rows)
    _refuse_contradictions(rows)
    return rows


def _check_range(name: str, column: Array, rows: Observations | None = None) -> None:
    """UserError for values outside the legal range of their unit; rows, if given, say where."""
    q = quantity(name)
    wrong = (column < q.low) | (column > q.high)
    if wrong.any():
        low = "0 (exclusive)" if q.low == 1e-12 else f"{q.low:g}"
        first = np.flatnonzero(wrong)[0]
        where = f"row {first} ({wrong.sum()} such rows)" if rows is None else rows.name_rows(wrong)
        raise UserError(f"{name} is {column[first]:g} in {where}; it must lie between {low} and {q.high:g} [{q.unit}].")


def _refuse_contradictions(rows: Observations) -> None:
    """One run has one loss after the same tokens."""
    seen: dict[tuple[str, float], float] = {}
    if "tokens" not in rows.columns:
        return
    for run, tokens, loss in zip(rows.run.tolist(), rows["tokens"].tolist(), rows["loss"].tolist(), strict=True):
        if (before := seen.setdefault((run, tokens), loss)) != loss:
            raise UserError(
                f"run {run} has two losses after {tokens:g} tokens, {before:g} and {loss:g}; keep one, or "
                "give the column `run` if these are two runs."
            )


def _is_quantity(name: str) -> bool:
    return name in QUANTITIES or name.startswith("share_")
