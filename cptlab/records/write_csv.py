"""Observations -> CSV, in the form that `source=csv` reads without any column map."""

import csv
from pathlib import Path

from cptlab.records.observations import Observations


def write_csv(observations: Observations, path: Path) -> None:
    """One row a (run, step, domain, split); floats in full, whole numbers without a point, NaN empty."""
    names = list(observations.columns)
    labels = (observations.run, observations.domain, observations.split, observations.base)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["run", "domain", "split", "base_id", *names])
        for i in range(len(observations)):
            values = [_cell(float(observations[name][i])) for name in names]
            writer.writerow([*(str(label[i]) for label in labels), *values])


def _cell(value: float) -> str:
    if value != value:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
