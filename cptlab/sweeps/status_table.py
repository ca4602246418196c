"""`cptlab status`: where a study is."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cptlab.sweeps.axes import axes_of
from cptlab.sweeps.costs import seconds_left
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates, of_records
from cptlab.sweeps.show import plain_lines, rich_table, show
from cptlab.sweeps.state import DONE, FAILED_STATE, INTERRUPTED, MISSING, ORDER, RUNNING, State, state_of
from cptlab.training.progress import duration

if TYPE_CHECKING:
    from rich.console import Group

ENDS = ["step", "left", "what"]
URGENT = (RUNNING, FAILED_STATE, INTERRUPTED, MISSING, DONE)  # what a watcher sees first, where not all fits
AROUND = 7  # lines of a terminal around the rows: head, rules, what is left out, the sum


def status_rows(points: list[PlannedPoint], states: list[State]) -> tuple[list[str], list[list[str]]]:
    """(head, one row a point): where it is, how long it takes, its losses or why it failed."""
    axes, values = axes_of([point.overrides for point in points])
    rows = []
    for point, state, here in zip(points, states, values, strict=True):
        losses = "  ".join(f"{name} {loss:.4f}" for name, loss in state.losses.items())
        step = f"{state.step}/{state.steps or point.steps}" if state.status == RUNNING else ""
        left = duration(state.left) if state.left is not None else ""
        rows.append([state.status, point.run_id, *here, step, left, losses or state.reason or state.where])
    return ["state", "run", *axes, *ENDS], rows


def summary(name: str, points: list[PlannedPoint], states: list[State], probe: Rates, side_by_side: int) -> str:
    """'quickstart: 25 points: 20 done, 2 running, 3 missing; 4 min 10 s left'."""
    counts = Counter(state.status for state in states)
    parts = ", ".join(f"{counts[each]} {each}" for each in ORDER if counts[each])
    rates = of_records(points, states)
    at_a_time = counts[RUNNING] or side_by_side
    left = seconds_left(points, states, rates if rates.seen else probe, at_a_time)
    if left == 0:
        return f"{name}: {len(points)} points: {parts}"
    end = "time left not known yet" if left is None else f"about {duration(left)} left with {at_a_time} at a time"
    return f"{name}: {len(points)} points: {parts}; {end}"


def show_status(name: str, points: list[PlannedPoint], probe: Rates, side_by_side: int) -> None:
    """The table, once; in a terminal, where a row is one line, failures follow in full."""
    states = [state_of(point.path) for point in points]
    head, rows = status_rows(points, states)
    show(head, rows, numbers(head))
    if sys.stdout.isatty():
        for point, state in zip(points, states, strict=True):
            if state.status == FAILED_STATE:
                print(f"failed: {point.path}: {state.reason}")
    print(summary(name, points, states, probe, side_by_side), flush=True)


def numbers(head: list[str]) -> tuple[int, int]:
    """Columns of numbers: step and left."""
    return len(head) - 3, len(head) - 2


def watch_status(name: str, points: list[PlannedPoint], probe: Rates, side_by_side: int, seconds: float) -> None:
    """Until every point is done: redrawn in a terminal, elsewhere a line a change and the sum once a minute."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            for head, rows, line in _looks(name, points, probe, side_by_side, seconds):
                live.update(screen(head, rows, line, console.width, console.height), refresh=True)
        return
    before: list[list[str]] | None = None
    said = 0.0
    for head, rows, line in _looks(name, points, probe, side_by_side, seconds):
        changed = [] if before is None else [row for row, old in zip(rows, before, strict=True) if row[0] != old[0]]
        if before is None:
            print("\n".join([*plain_lines(head, rows, numbers(head)), line]), flush=True)
        elif changed or time.monotonic() - said > 60:
            print("\n".join([*("  ".join(filter(None, row)) for row in changed), line]), flush=True)
        else:
            continue
        before, said = rows, time.monotonic()


def screen(head: list[str], rows: list[list[str]], line: str, width: int, height: int) -> Group:
    """What fits a terminal: points that are not done first, the most urgent of them, then how many are not shown."""
    from rich.console import Group
    from rich.text import Text

    shown = sorted(rows, key=lambda row: URGENT.index(row[0]))[: max(height - AROUND, 1)]
    rest = Counter(row[0] for row in rows)
    rest.subtract(row[0] for row in shown)
    more = ", ".join(f"{rest[each]} {each}" for each in URGENT if rest[each])
    return Group(
        rich_table(head, shown, numbers(head), width), *([Text(f"and {more}", style="dim")] if more else []), Text(line)
    )


def _looks(
    name: str, points: list[PlannedPoint], probe: Rates, side_by_side: int, seconds: float
) -> Iterator[tuple[list[str], list[list[str]], str]]:
    """Head, rows and summary every so many seconds; the last when every point is done."""
    while True:
        states = [state_of(point.path) for point in points]
        yield *status_rows(points, states), summary(name, points, states, probe, side_by_side)
        if all(state.status == DONE for state in states):
            return
        time.sleep(seconds)
