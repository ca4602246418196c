"""One table for every law, whatever its origin: run records, a CSV, a DataFrame."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
    """

    columns: Mapping[str, Array]
    run: NDArray[np.str_]
    domain: NDArray[np.str_]
    split: NDArray[np.str_]
    base: NDArray[np.str_]
    origin: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def where(self, mask: NDArray[np.bool_]) -> "Observations":
        """The rows where mask (n,) is true."""
        return Observations(
            columns={name: column[mask] for name, column in self.columns.items()},
            run=self.run[mask], domain=self.domain[mask], split=self.split[mask], base=self.base[mask],
            origin=self.origin, left_out=self.left_out,
        )  # fmt: skip

    def of_domain(self, domain: str, split: str = "fit") -> "Observations":
        """The rows of one domain and split."""
        return self.where((self.domain == domain) & (self.split == split))

    @property
    def domains(self) -> list[str]:
        """Corpus names, in order of appearance."""
        return list(dict.fromkeys(self.domain.tolist()))
