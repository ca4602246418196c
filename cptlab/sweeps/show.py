"""A table: aligned plain lines in logs and pipes, rich in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow", "missing": "dim"}
LEAST = 6  # characters of a column that is cut


def show(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print; `right`: columns of numbers. In a terminal a row has the colour of the state in its first cell."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(rich_table(head, rows, right, console.width))
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


def rich_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int = 120
) -> Table:
    """The same as a table of rich, a line a row. Where it is too wide, a last column of text is cut, then the run."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    longest = [max((len(row[i]) for row in cells), default=0) for i in range(len(head))]
    heads = [name.replace("_", "_\n") if len(name) > most else name for name, most in zip(head, longest, strict=True)]
    widths = [max(most, *map(len, name.split("\n"))) for most, name in zip(longest, heads, strict=True)]
    for gap in (2, 1):
        room = width - 2 - gap * (len(head) - 1)
        if len(head) - 1 not in right:
            widths[-1] = max(min(longest[-1], room - sum(widths[:-1])), LEAST)
        if sum(widths) <= room:
            break
    else:
        widths[1] = max(widths[1] - (sum(widths) - room), LEAST)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 1, 0, 0))
    for i, name in enumerate(heads):
        table.add_column(name, justify="right" if i in right else "left", no_wrap=True, width=widths[i])
    for row in cells:
        cut = [text if len(text) <= most else f"{text[: most - 1]}…" for text, most in zip(row, widths, strict=True)]
        table.add_row(*map(Text, cut), style=COLOURS.get(row[0], ""))
    return table
