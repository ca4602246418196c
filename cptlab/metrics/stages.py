"""The loss of every corpus after every stage of a stream of domains: what forgetting and transfer are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest
from cptlab.metrics.curves import RowLosses
from cptlab.metrics.measured import NAT, Measured
from cptlab.records.table import SUFFIXES, Table

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageMatrix:
    """loss[s, c]: loss of corpus c after stage s [nat/token]; stage 0 is the base, before the stream.

    stages: names, (stages,). trained: the corpus that each stage trained on, for stage 0 that of the base, "" where
    there is none. corpora: (corpora,). loss, se: (stages, corpora), se NaN where not known. rows: corpus -> losses of
    its rows, their `steps` being stages; with them differences are paired.
    """

    stages: Sequence[str]
    trained: Sequence[str]
    corpora: Sequence[str]
    loss: Array
    se: Array
    rows: Mapping[str, RowLosses] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.stages), len(self.corpora))
        if self.loss.shape != shape or self.se.shape != shape or len(self.trained) != shape[0]:
            raise ValueError(f"{shape} stages and corpora, but losses {self.loss.shape}, errors {self.se.shape}")
        if shape[0] < 2:
            raise UserError("a stream needs the base and at least one stage after it")
        if unknown := [name for name in self.trained if name and name not in self.corpora]:
            raise UserError(
                f"a stage trained on {unknown[0]}, whose loss was not measured.{closest(unknown[0], self.corpora)}"
            )
        if not np.isfinite(self.loss).all():
            s, c = np.argwhere(~np.isfinite(self.loss))[0]
            raise UserError(f"the loss of {self.corpora[c]} after {self.stages[s]} is {self.loss[s, c]}")

    @property
    def last(self) -> int:
        """Number of the last stage."""
        return len(self.stages) - 1

    def at(self, stage: int, corpus: str) -> Measured:
        """Loss of a corpus after a stage."""
        c = list(self.corpora).index(corpus)
        error = float(self.se[stage, c])
        return Measured(float(self.loss[stage, c]), NAT, error if np.isfinite(error) else None)

    def change(self, stage: int, before: int, corpus: str) -> Measured:
        """Loss after `stage` minus loss after `before`."""
        rough = self.at(stage, corpus) - self.at(before, corpus)
        paired = self.rows[corpus].change_se(stage, before) if corpus in self.rows else None
        return Measured(rough.value, NAT, 0.0 if stage == before else rough.se if paired is None else paired)

    def trained_at(self, corpus: str) -> list[int]:
        """The stages that trained on a corpus; 0 among them if it is the base's."""
        return [stage for stage, name in enumerate(self.trained) if name == corpus]


def read_stages(path: Path) -> StageMatrix:
    """A table with a row a stage, the base first: columns `stage`, `trained`, and the loss of each corpus.

    A column `<corpus>_se` holds the standard errors of that corpus. UserError names file, row and column.
    """
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise UserError(f"{path} is no file of stages; give a {', '.join(SUFFIXES)} with columns stage, trained, ...")
    table = Table(str(path))
    trained, names = table.text("trained"), [name for name in table.names if name not in ("stage", "trained")]
    corpora = [name for name in names if not (name.endswith("_se") and name.removesuffix("_se") in names)]
    if not corpora:
        raise UserError(f"{path} has no column of losses beside stage and trained; add one named after each corpus")
    loss = np.stack([table.numbers(name, "loss") for name in corpora], axis=-1)
    empty = np.full(len(table), np.nan)
    errors = [table.numbers(f"{name}_se", "loss_se") if f"{name}_se" in names else empty for name in corpora]
    if np.isnan(loss).any():
        row, column = np.argwhere(np.isnan(loss))[0]
        raise UserError(f"{table.where(row)}, column {corpora[column]} is empty; every corpus needs every stage")
    return StageMatrix(table.text("stage").tolist(), trained.tolist(), corpora, loss, np.stack(errors, axis=-1))
