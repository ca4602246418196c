"""A table: aligned plain lines in logs and pipes, rich in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

COLOURS = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow", "missing": "dim"}


def show(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print; `right`: columns of numbers. In a terminal a row has the colour of the state in its first cell."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(head, rows, right))
    else:
        print("\n".join(plain_lines(head, rows, right)), flush=True)


def plain_lines(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Columns as wide as their longest cell, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [line(head), *map(line, rows)]


def rich_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> object:
    """The same as a table of rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row), style=COLOURS.get(row[0].split()[0] if row[0] else "", ""))
    return table
