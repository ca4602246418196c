"""Observations as pandas DataFrames, and the two sources as functions: what a notebook starts from.

`cptlab.fit` takes the frame back and gives the same fit, bit for bit, as of the observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cptlab.records.observations import Observations

if TYPE_CHECKING:
    import pandas as pd


def to_frame(rows: Observations) -> pd.DataFrame:
    """One row a (run, step, domain, split): `run, domain, split, base_id, loss`, then all others of `cptlab.units`.

    `.attrs` tells `origin` (in words), `left_out` (reason -> rows that the reader left out) and `general` (the name
    of that corpus where the records give one, else "").
    """
    import pandas as pd

    labels = {"run": rows.run, "domain": rows.domain, "split": rows.split, "base_id": rows.base}
    columns = {"loss": rows["loss"], **rows.columns} if "loss" in rows.columns else rows.columns
    frame = pd.DataFrame({name: label.astype(object) for name, label in labels.items()} | dict(columns))
    frame.attrs = {"origin": rows.origin, "left_out": dict(rows.left_out), "general": rows.general}
    return frame


def read_runs(
    path: str = "runs", *, valid_from: float = 0.125, anneal_decay: float = 0.999,
    base_lr_history: Mapping[str, Any] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The finished runs under a folder as one table, losses in nat/token; what is left out is counted in `.attrs`.

    path: folder of run folders, one run folder, or a glob of either. valid_from: fraction of a run's tokens, in
    [0, 1), before which rows of constant-LR runs are left out. anneal_decay: lambda of the annealing areas.
    base_lr_history: LR history of an open model, where the records lack it. UserError where no run is usable.
    """
    from cptlab.records.read_runs import Runs

    source = Runs(path=str(path), valid_from=valid_from, anneal_decay=anneal_decay, base_lr_history=base_lr_history)
    return to_frame(source.read())


def read_csv(
    path: str, columns: Mapping[str, str] | None = None, *, constants: Mapping[str, float] | None = None,
    general: str = "general", domain: str = "domain", loss_columns: Mapping[str, str] | None = None,
    share_columns: Mapping[str, str] | None = None, base_loss: Mapping[str, float] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """A .csv, .tsv or .parquet of losses as one table, checked, under the column names of `cptlab.units`.

    columns: cptlab column -> column of the file, for those that have another name there. constants: cptlab column ->
    its value in every row. general, domain: names of the two corpora. loss_columns: corpus -> column of its loss,
    where a row holds several. share_columns: corpus -> column of its share. base_loss: corpus -> loss before the
    first update [nat/token], where neither a column nor a row at 0 tokens tells it. UserError names file, row, column.
    """
    from cptlab.records.read_csv import CSV

    maps: dict[str, Any] = {
        "columns": columns, "constants": constants, "loss_columns": loss_columns, "share_columns": share_columns,
        "base_loss": base_loss,
    }  # fmt: skip
    return to_frame(CSV(path=str(path), general=general, domain=domain, **maps).read())
