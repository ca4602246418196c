"""A user's file -> text cells -> numbers, with an error that names file, row and column."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest
from cptlab.units import quantity

Array = NDArray[np.float64]
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


class Table:
    """Cells of one file. Rows are named as an editor counts lines: the header of a text file is line 1."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        self.first_row = 1 if self.path.suffix in (".parquet", ".jsonl") else 2
        self.cells = _read(self.path)
        if not len(self.cells):
            raise UserError(f"{self.path} has no rows")

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def names(self) -> list[str]:
        """Column names, in the file's order."""
        return list(self.cells.columns)

    def text(self, column: str) -> NDArray[np.str_]:
        """A column as strings, '' where a cell is empty."""
        if column not in self.cells.columns:
            raise UserError(f"{self.path} has no column {column!r}.{closest(column, self.names)}")
        values = self.cells[column].to_list()
        return np.array(["" if _empty(v) else str(v).strip() for v in values], dtype=np.str_)

    def numbers(self, column: str, as_name: str) -> Array:
        """A column as float64, NaN where a cell is empty; refuses what the unit of `as_name` excludes."""
        text = self.text(column)
        values = np.array([_number(cell) for cell in text])
        unit = quantity(as_name)
        low = 0.0 if as_name == "tokens" else unit.low  # rows at 0 tokens hold the base loss
        bad = np.isnan(values) & (text != "")
        out = ~bad & (text != "") & ~((values >= low) & (values <= unit.high) & np.isfinite(values))
        if bad.any():
            row = int(np.argmax(bad))
            raise UserError(f"{self.where(row)}, column {column}: {str(text[row])!r} is no number")
        if out.any():
            row = int(np.argmax(out))
            legal = "above 0" if low == 1e-12 else f"in [{low:g}, {unit.high:g}]"
            raise UserError(
                f"{self.where(row)}, column {column}: {as_name} is {text[row]}; it must be finite and {legal}"
            )
        return values

    def where(self, row: int) -> str:
        """File and row, for an error."""
        return f"{self.path}: row {row + self.first_row}"


def known_column(name: str, key: str, extra: Iterable[str] = ()) -> None:
    """Refuse a name that is no quantity of `cptlab.units`."""
    from cptlab.units import QUANTITIES

    if name not in QUANTITIES and name not in extra and not name.startswith("share_"):
        raise UserError(f"{key}.{name} is no column of cptlab.{closest(name, [*QUANTITIES, *extra])}")


def _read(path: Path) -> Any:
    """The file as a pandas frame of strings (text files) or of its own types (Parquet)."""
    import pandas as pd

    if path.suffix not in SUFFIXES:
        raise UserError(f"source.path={path} ends in {path.suffix!r}; it must be one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"source.path={path} does not exist.{closest(path.name, siblings)}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            lines = path.read_text("utf-8").splitlines()
            return pd.DataFrame([_object(path, number, line) for number, line in enumerate(lines, 1)], dtype=object)
        separator = "\t" if path.suffix == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path} is empty") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (pd.errors.ParserError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a table: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    """One line of JSON; a blank one has no cells."""
    try:
        found = json.loads(line) if line.strip() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {number} is no JSON ({error.msg})") from error
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
        raise UserError(f"{path}: line {number} is no flat JSON object, {{name: number or text}}")
    return found


def _empty(value: Any) -> bool:
    return value is None or value != value  # NaN


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
