"""Several sources as one table: runs beside a published table, two servers, a CSV a size.

A part names its kind and its place first, then any other field of that kind:

    python fit_law.py source=joined "source.parts=[{runs: runs/a}, {csv: old.csv, columns: {loss: val_loss}}]"
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.records.observations import LABELS, Observations
from cptlab.records.run_source import RunSource, refuse_different_texts
from cptlab.records.source import Source
from cptlab.variants import discover_group, variant

PLACE = {"runs": "path", "csv": "path", "wandb": "project"}  # kind of a part -> the field that says where it is
OF_RUN = ("num_params", "seed", "peak_lr", "tokens_per_step")  # one value along a run
CLOSE = 1e-9  # [1] relative difference within which two sources say the same


@variant("source")
@dataclass(kw_only=True)
class Joined(Source):
    """The rows of all parts. A row that two parts hold counts once; two parts that contradict are refused.

    parts: list of {runs: FOLDER}, {csv: FILE, ...} or {wandb: ENTITY/PROJECT, ...}; the rest of a part are fields
        of that source. A column that a part lacks is NaN in its rows, and the fit leaves these out only where its
        law needs the column.
    """

    parts: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.parts, list | tuple) or not self.parts:
            raise UserError("source.parts is empty; write source.parts=[{runs: FOLDER}, {csv: FILE}]")
        self._sources = [_source(part, f"source.parts[{i}]") for i, part in enumerate(self.parts)]

    @property
    def rule(self) -> str:
        """The rules of the parts, each once."""
        return "; ".join(dict.fromkeys(source.rule for source in self._sources if source.rule))

    @property
    def n_definition(self) -> str:
        """What `num_params` counts in each part."""
        return "; ".join(dict.fromkeys(source.n_definition for source in self._sources))

    def read(self) -> Observations:
        """All rows of all parts."""
        tables = [source.read() for source in self._sources]
        refuse_different_texts([run for s in self._sources if isinstance(s, RunSource) for run in s.usable])
        return join(tables)

    def coverage(self) -> list[dict[str, object]]:
        """The runs of all parts."""
        return [run for source in self._sources for run in source.coverage()]

    def sizes(self) -> Mapping[float, str]:
        """The sizes of all parts; the first part to name one wins."""
        return {size: name for source in reversed(self._sources) for size, name in source.sizes().items()}

    def overrides(self, num_params: float, tokens: float) -> list[str] | None:
        """Those of the first part that knows a run of that size."""
        found = (source.overrides(num_params, tokens) for source in self._sources)
        return next((overrides for overrides in found if overrides is not None), None)


def _source(part: Any, key: str) -> Source:
    """The source that a part describes. UserError names what is wrong in it."""
    known = discover_group("source")
    kinds = [name for name in part if name in PLACE] if isinstance(part, Mapping) else []
    if len(kinds) != 1:
        names = list(part) if isinstance(part, Mapping) else []
        near = closest(names[0], PLACE) if names and not kinds else ""
        raise UserError(f"{key} is {part!r}; begin it with one of {', '.join(PLACE)}, as in {{runs: FOLDER}}.{near}")
    cls, place = known[kinds[0]], PLACE[kinds[0]]
    legal = {field.name: field for field in fields(cls) if field.init}
    values = {place if name == kinds[0] else name: value for name, value in part.items()}
    for name, value in values.items():
        if name not in legal:
            raise UserError(f"{key}.{name} is no key of source={kinds[0]}.{closest(name, legal)}")
        wanted = legal[name].type
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        if wanted in (str, float) and not isinstance(value, wanted):
            raise UserError(f"{key}.{name} is {value!r}; it must be a {'text' if wanted is str else 'number'}")
    return cls(**values)


def join(tables: Iterable[Observations]) -> Observations:
    """Tables of different columns -> one, rows that two of them hold once. UserError where they contradict."""
    tables = list(tables)
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    columns = {name: np.concatenate([_column(table, name) for table in tables]) for name in names}
    labels: dict[str, Any] = {name: np.concatenate([getattr(table, name) for table in tables]) for name in LABELS}
    counts: Counter[str] = Counter()
    for table in tables:
        counts.update(table.left_out)
    origin = " and ".join(dict.fromkeys(table.origin for table in tables))
    unused = tuple(dict.fromkeys(name for table in tables for name in table.unused))
    named = {table.general for table in tables}
    general = named.pop() if len(named) == 1 else ""
    whole = Observations(columns, **labels, origin=origin, left_out=dict(counts), unused=unused, general=general)
    part = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    again = _repeated(whole, part, [table.origin for table in tables])
    return whole.without(again, "rows that two sources hold (counted once)").in_order()


def _column(table: Observations, name: str) -> np.ndarray:
    """A column (n,); where a table lacks it: share 0 of a corpus outside its mixtures, else not known."""
    if name in table.columns:
        return table.columns[name]
    if name == "lr_settled":
        return np.ones(len(table))
    shares = [column for other, column in table.columns.items() if other.startswith("share_")]
    if name.startswith("share_") and shares:
        return np.where(np.abs(np.sum(shares, axis=0) - 1) < 1e-6, 0.0, np.nan)
    return np.full(len(table), np.nan)


def _repeated(rows: Observations, part: np.ndarray, origins: list[str]) -> np.ndarray:
    """Mask (n,) of rows that an earlier part holds as well; refuses two parts that disagree about a run."""
    tokens = rows.columns.get("tokens", rows.columns.get("step", np.arange(len(rows), dtype=float)))
    first_row: dict[tuple[Any, ...], int] = {}
    first_of_run: dict[str, int] = {}
    again = np.zeros(len(rows), dtype=bool)
    for i, run in enumerate(rows.run.tolist()):
        head = first_of_run.setdefault(run, i)
        key = (run, rows.domain[i], rows.split[i], tokens[i])
        same = first_row.setdefault(key, i)
        again[i] = part[same] != part[i]
        for j, names in ((head, OF_RUN), (same, tuple(rows.columns))):
            if part[j] != part[i] and (name := _differing(rows, i, j, names)):
                raise UserError(
                    f"run {run} is in {origins[part[j]]} and in {origins[part[i]]} with another {name} "
                    f"({rows[name][j]:g} against {rows[name][i]:g}, {rows.domain[i]} after {tokens[i]:g} tokens); "
                    "leave one out, or give them different run names"
                )
    return again


def _differing(rows: Observations, i: int, j: int, names: Iterable[str]) -> str:
    """The first of the columns, loss before others, that two rows know and give differently; '' if none."""
    for name in sorted(names, key=lambda name: name != "loss"):
        if name in rows.columns:
            one, other = rows[name][i], rows[name][j]
            if abs(one - other) > CLOSE * max(abs(one), abs(other)):
                return name
    return ""
