"""One table for every law, whatever its origin: run records, a CSV, a DataFrame."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LABELS = ("run", "domain", "split", "base")


@dataclass(frozen=True)
class Observations:
    """Loss measurements, one row a (run, step, domain).

    columns: name -> (n,) float64, names and units of `cptlab.units` (a column that is not known is absent).
    run: (n,) str, rows of one run are not independent: hold out and resample whole runs.
    domain: (n,) str, the corpus whose loss the row holds.
    split: (n,) str, `fit` feeds laws, `test` judges recommendations, `valid` steers training.
    base: (n,) str, identity of the base model; runs of one base share its error.
    origin: where the table came from, in words.
    left_out: reason -> number of rows that a reader left out.
    unused: names of the origin's columns that no one reads, among them perhaps a misspelt one.
    general: name of the general corpus, where the records of all rows give the same one; else "".
    row: (n,) int, where the origin is a table that a user brought: its row, as an editor counts; else None.
    """

    columns: Mapping[str, Array]
    run: NDArray[np.str_]
    domain: NDArray[np.str_]
    split: NDArray[np.str_]
    base: NDArray[np.str_]
    origin: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    row: NDArray[np.int_] | None = None
    unused: tuple[str, ...] = ()
    general: str = ""

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def where(self, which: NDArray[np.bool_] | NDArray[np.int_]) -> "Observations":
        """The rows where a mask (n,) is true, or those of an index, in its order."""
        columns = {name: column[which] for name, column in self.columns.items()}
        labels = {name: getattr(self, name)[which] for name in LABELS}
        return replace(self, columns=columns, row=None if self.row is None else self.row[which], **labels)

    def without(self, mask: NDArray[np.bool_], reason: str) -> "Observations":
        """The rows where mask (n,) is false; the others are counted by their reason."""
        if not mask.any():
            return self
        count = self.left_out.get(reason, 0) + int(mask.sum())
        return replace(self.where(~mask), left_out={**self.left_out, reason: count})

    def in_order(self) -> "Observations":
        """The same rows sorted by run, tokens, domain, split, then by every column: one order for any origin."""
        names = sorted(self.columns)
        last_first = (*(self.columns[name] for name in reversed(names)), self.split, self.domain)
        tokens = self.columns.get("tokens", self.columns.get("step", np.zeros(len(self))))
        return self.where(np.lexsort((*last_first, tokens, self.run)))

    def name_rows(self, mask: NDArray[np.bool_], most: int = 3) -> str:
        """The rows where mask is true, in words, the first few: by number where the origin has some."""
        if self.row is not None:
            found = [str(row) for row in sorted(set(self.row[mask].tolist()))]
            kind = "row" if len(found) == 1 else "rows"
            return f"{kind} {', '.join(found[:most])}" + (f" and {len(found) - most} more" if len(found) > most else "")
        found = list(dict.fromkeys(f"run {run}" for run in self.run[mask].tolist()))
        return ", ".join(found[:most]) + (f" and {len(found) - most} runs more" if len(found) > most else "")

    def of_domain(self, domain: str, split: str = "fit") -> "Observations":
        """The rows of one domain and split."""
        return self.where((self.domain == domain) & (self.split == split))

    @property
    def domains(self) -> list[str]:
        """Corpus names, in order of appearance."""
        return list(dict.fromkeys(self.domain.tolist()))
