"""The measured losses of one corpus along a run, base first.

The standard error of a change against the base is that of paired rows where the run kept the losses of its rows
(`diagnostics.row_losses=true`), for every evaluation reads the same rows. Without them both standard errors are added
in squares, as of independent rows: too wide, as the same rows are hard before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest
from cptlab.metrics.measured import NAT, Measured, joint
from cptlab.records.run_folders import Run

Array = NDArray[np.float64]
SPLITS = ("fit", "valid", "test")


@dataclass(frozen=True)
class RowLosses:
    """Losses of single evaluation rows. sums: (evaluations, rows) [nat]; counts: (rows,) labels."""

    steps: list[int]
    sums: Array
    counts: Array

    def change_se(self, step: int, before: int) -> float | None:
        """Standard error of loss at `step` minus loss at `before` [nat/token]: a ratio estimate over paired rows.

        sqrt(sum_i (d_i - m n_i)^2) / sum n_i, d_i: change of row i [nat], n_i: its labels, m = sum d_i / sum n_i.
        """
        if step not in self.steps or before not in self.steps:
            return None
        change = self.sums[self.steps.index(step)] - self.sums[self.steps.index(before)]
        total = self.counts.sum()
        return float(np.sqrt(np.sum((change - change.sum() / total * self.counts) ** 2)) / total)


@dataclass(frozen=True)
class Curve:
    """Losses of one corpus and split by rising step; arrays (n,), the first row before the first update if it is 0."""

    domain: str
    steps: NDArray[np.int64]
    tokens: Array
    loss: Array  # [nat/token]
    loss_se: Array  # [nat/token], NaN where not known
    bytes_per_token: Array
    rows: RowLosses | None = None

    def __post_init__(self) -> None:
        if not len(self.steps) or (np.diff(self.steps) <= 0).any():
            raise ValueError(f"the steps of the curve of {self.domain} do not rise: {self.steps.tolist()}")

    @property
    def has_base(self) -> bool:
        """Whether the first row was measured before the first update."""
        return int(self.steps[0]) == 0

    def at(self, i: int) -> Measured:
        """Loss of row i."""
        error = float(self.loss_se[i])
        return Measured(float(self.loss[i]), NAT, error if np.isfinite(error) else None)

    def change(self, i: int, before: int = 0) -> Measured:
        """Loss of row i minus loss of row `before`, paired where the rows are known."""
        value = float(self.loss[i] - self.loss[before])
        if self.steps[i] == self.steps[before]:
            return Measured(value, NAT, 0.0)
        paired = self.rows and self.rows.change_se(int(self.steps[i]), int(self.steps[before]))
        return Measured(value, NAT, paired if paired is not None else joint(self.at(i).se, self.at(before).se))


def curves_of(run: Run, split: str = "fit", rows: Mapping[str, RowLosses] | None = None) -> dict[str, Curve]:
    """{corpus: its curve} of a run. UserError where the split was not measured."""
    kept = [row for row in run.rows if row["split"] == split]
    if not kept:
        known = {row["split"] for row in run.rows}
        why = f"no row of split {split}.{closest(split, known)}" if known else "no evaluation yet; train it first"
        raise UserError(f"{run.folder} has {why}")
    found = {}
    for domain in dict.fromkeys(row["domain"] for row in kept):
        own = sorted((row for row in kept if row["domain"] == domain), key=lambda row: row["step"])
        column = lambda name, own=own: np.array([row.get(name) for row in own], dtype=np.float64)  # noqa: E731
        found[domain] = Curve(
            domain, np.array([row["step"] for row in own]), column("tokens_seen"),
            column("loss_sum") / column("num_tokens"), column("loss_se"), column("num_bytes") / column("num_tokens"),
            (rows or {}).get(domain),
        )  # fmt: skip
    return found
