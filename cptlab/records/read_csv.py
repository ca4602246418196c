"""A CSV, TSV, JSON-lines or Parquet file that a user brings -> observations.

Long form: one row a (run, step, domain), with a loss column. Wide form: one row a (run, step) and a loss
column for each corpus. The continual pre-training losses of Data Mixing Laws (arXiv 2403.16952), for one, are
wide, with the share of the general corpus as their only share:

    python fit_law.py source=csv source.path=cpt_pile_python_70m.csv \
        source.general=pile source.domain=python "source.loss_columns={pile: pile, python: python}" \
        "source.columns={general_share: r_gen}" "source.base_loss={pile: 2.87337}" \
        "source.constants={num_params: 18915328, tokens_per_step: 1048576}"
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest
from cptlab.records.observations import Observations
from cptlab.records.rows_of_runs import base_losses, repeats, run_names
from cptlab.records.source import Source
from cptlab.records.table import Array, Table, known_column
from cptlab.units import QUANTITIES, quantity
from cptlab.variants import variant

TEXT = ("run", "domain", "split", "base_id")


@variant("source", "csv")
@dataclass(kw_only=True)
class CSV(Source):
    """One table of losses, from a file.

    path: .csv, .tsv (UTF-8, with a header), .jsonl (one flat object a line) or .parquet.
    columns: cptlab column -> column of the file; a column that has cptlab's own name needs no entry.
    constants: cptlab column -> the value it has in every row (`num_params: 70e6`).
    general, domain: names of the general corpus and of the new domain. In long form without a domain
        column, `domain` names the corpus of `loss`.
    loss_columns: wide form, corpus -> column of its loss.
    share_columns: corpus -> column of its share; of two corpora one is enough, the other is 1 - share.
    base_loss: corpus -> loss of the base before the first update [nat/token], where no column holds it and
        no row at 0 tokens.
    params_counted: what `num_params` counts in this file.
    """

    path: str = ""
    columns: Any = None
    constants: Any = None
    general: str = "general"
    domain: str = "domain"
    loss_columns: Any = None
    share_columns: Any = None
    base_loss: Any = None
    params_counted: str = "as in the file"

    def __post_init__(self) -> None:
        for key in ("columns", "constants", "loss_columns", "share_columns", "base_loss"):
            value = {} if getattr(self, key) is None else getattr(self, key)
            if not isinstance(value, Mapping):
                raise UserError(f'source.{key} is {value!r}; write it as "source.{key}={{name: value}}"')
            setattr(self, key, dict(value))
        for name in self.columns:
            known_column(name, "source.columns", TEXT)
        for name, value in self.constants.items():
            known_column(name, "source.constants")
            _in_range(name, value, f"source.constants.{name}")
        for name, value in self.base_loss.items():
            _in_range("base_loss", value, f"source.base_loss.{name}")

    @property
    def n_definition(self) -> str:
        """What `num_params` counts."""
        return self.params_counted

    def read(self) -> Observations:
        """Rows with a loss; rows at 0 tokens give the base loss."""
        if not self.path:
            raise UserError("source.path is empty; give the file: source.path=losses.csv")
        table = Table(self.path)
        shared = self._shared(table)
        parts = [self._of_domain(table, shared, *entry) for entry in self._losses(table)]
        names = list(dict.fromkeys(n for p in parts for n in p))
        nan = np.full(len(table), np.nan)
        columns = {name: np.concatenate([part.get(name, nan) for part in parts]) for name in names}
        used = {*self.columns.values(), *self.loss_columns.values(), *self.share_columns.values(), *columns, *TEXT}
        return replace(self._finish(table, columns), unused=tuple(n for n in table.names if n not in used))

    def _losses(self, table: Table) -> list[tuple[NDArray[np.str_], str]]:
        """(domain of each row, column of the file that holds its loss)."""
        if self.loss_columns:
            return [(np.full(len(table), name), column) for name, column in self.loss_columns.items()]
        column = self.columns.get("domain", "domain")
        if "domain" in self.columns or column in table.names:
            domains = table.text(column)
            self._check_names(table, domains)
        else:
            domains = np.full(len(table), self.domain)
        return [(domains, self.columns.get("loss", "loss"))]

    def _check_names(self, table: Table, domains: NDArray[np.str_]) -> None:
        """Shares that are known by role are of no use where the roles name no corpus of the file."""
        found = sorted(set(domains.tolist()))
        columns = {*self.columns, *table.names, *(f"share_{corpus}" for corpus in self.share_columns)}
        if "share" in columns or {f"share_{name}" for name in found} <= columns:
            return
        by_role = {"domain_share", "general_share"} & columns
        for role in ("general", "domain") if by_role and len(found) > 1 else ():
            if (name := getattr(self, role)) not in found:
                raise UserError(f"source.{role}={name} is no domain of {table.path}.{closest(name, found)}")

    def _shared(self, table: Table) -> dict[str, Array]:
        """Columns that do not depend on the domain: mapped, of cptlab's own name, or constant."""
        mapped = {name: column for name, column in self.columns.items() if name not in (*TEXT, "loss")}
        own = {n: n for n in table.names if n in QUANTITIES or n.startswith("share_")}
        mapped |= {f"share_{corpus}": column for corpus, column in self.share_columns.items()}
        columns = {n: table.numbers(c, n) for n, c in (own | mapped).items() if n != "loss"}
        columns |= {name: np.full(len(table), float(value)) for name, value in self.constants.items()}
        if "tokens" not in columns and {"step", "tokens_per_step"} <= columns.keys():
            columns["tokens"] = columns["step"] * columns["tokens_per_step"]
        if "tokens" not in columns and {"flops", "num_params"} <= columns.keys():
            columns["tokens"] = columns["flops"] / (6 * columns["num_params"])
        columns["file_row"] = np.arange(len(table), dtype=float)
        return self._shares(table, columns)

    def _shares(self, table: Table, columns: dict[str, Array]) -> dict[str, Array]:
        """Complete the shares of two corpora from one of them; shares of both must sum to 1."""
        roles = (("domain_share", self.domain), ("general_share", self.general))
        whole = [column for name, column in columns.items() if name.startswith("share_")]
        if whole and np.allclose(np.sum(whole, axis=0), 1, atol=0.01):
            own = {role: columns[f"share_{corpus}"] for role, corpus in roles if f"share_{corpus}" in columns}
            return own | columns
        for role, corpus in roles:
            for known, wanted in ((role, f"share_{corpus}"), (f"share_{corpus}", role)):
                if known in columns:
                    columns.setdefault(wanted, columns[known])
        if len({*self.loss_columns, *self.share_columns, self.domain, self.general}) == 2:
            for (role, _), (other_role, other) in (roles, roles[::-1]):
                if role in columns:
                    rest = 1 - columns[role]
                    columns.setdefault(other_role, rest)
                    columns.setdefault(f"share_{other}", rest)
            total = columns["domain_share"] + columns["general_share"] if roles[0][0] in columns else 1.0
            if (off := np.abs(np.atleast_1d(total) - 1) > 0.01).any():
                row = int(np.argmax(off))
                raise UserError(
                    f"{table.where(row)}: the shares of {self.domain} and {self.general} sum to "
                    f"{np.atleast_1d(total)[row]:g}; they must sum to 1"
                )
        return columns

    def _of_domain(
        self, table: Table, shared: Mapping[str, Array], domain: NDArray[np.str_], loss_column: str
    ) -> dict[str, Any]:
        """The rows of one loss column, with the share and the base loss of their own domain."""
        own = dict(shared) | {"loss": table.numbers(loss_column, "loss"), "domain": domain}
        if "share" in shared and len(self.loss_columns) > 1:
            raise UserError(
                f"share in {table.path} belongs to no corpus where source.loss_columns names several; map "
                "domain_share or general_share in source.columns, or give source.share_columns"
            )
        if "share" not in shared:
            share = np.full(len(table), np.nan)
            for name in dict.fromkeys(domain.tolist()):
                of_name = domain == name
                share[of_name] = shared.get(f"share_{name}", share)[of_name]
            if not np.isnan(share).all():
                own["share"] = share
        if self.base_loss:
            given = np.array([float(self.base_loss.get(name, np.nan)) for name in domain.tolist()])
            own["base_loss"] = np.where(np.isnan(given), own.get("base_loss", given), given)
        for name in ("run", "split", "base_id"):
            column = self.columns.get(name, name)
            if name in self.columns or column in table.names:
                own[name] = table.text(column)
        return own

    def _finish(self, table: Table, columns: dict[str, Any]) -> Observations:
        """Leave out rows without a loss and rows at 0 tokens; refuse contradictions.

        Other empty cells stay NaN: the fit leaves those rows out, and names them, if its law needs the column.
        """
        row = columns.pop("file_row").astype(int)
        num = len(row)
        domain = columns.pop("domain")
        split = columns.pop("split", np.full(num, "fit"))
        run = columns.pop("run", None)
        run = (run_names(columns, num) if run is None else run).astype(np.str_)
        domain = domain.astype(np.str_)
        sizes = columns.get("num_params", np.zeros(num))
        base = columns.pop("base_id", np.array([f"base of {size:g} parameters" for size in sizes]))
        keep = ~np.isnan(columns["loss"])
        everything = Observations({}, run, domain, split, base, f"table {table.path}", row=row + table.first_row)
        left_out = {f"rows without a loss ({everything.name_rows(~keep)})": int((~keep).sum())}
        start = keep & (columns.get("tokens", np.ones(num)) == 0)
        if start.any():
            measured = base_losses(columns["loss"], start, run, base, domain)
            given = columns.get("base_loss", measured)
            columns["base_loss"] = np.where(np.isnan(given), measured, given)
            left_out["rows before the first update (they give base_loss)"] = int(start.sum())
            keep &= ~start
        tokens = columns.get("tokens", columns.get("step", row.astype(float)))
        again = repeats(table, keep, (run, domain, split, tokens), columns["loss"], row)
        left_out["rows that repeat an earlier one"] = int(again.sum())
        keep &= ~again
        if not keep.any():
            raise UserError(f"{table.path} has no row with a loss after the first update")
        columns = {n: v.astype(np.float64) for n, v in columns.items() if not np.isnan(v[keep]).all()}
        counted = {reason: count for reason, count in left_out.items() if count}
        return replace(everything, columns=columns, left_out=counted).where(keep).in_order()


def _in_range(name: str, value: Any, key: str) -> None:
    unit = quantity(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key} is {value!r}; it must be a number")
    if not unit.low <= value <= unit.high:
        legal = "above 0" if unit.low == 1e-12 else f"in [{unit.low:g}, {unit.high:g}]"
        raise UserError(f"{key} is {value:g}; it must be {legal}")
