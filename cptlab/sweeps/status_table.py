"""`cptlab status`: where a study is."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator

from cptlab.sweeps.costs import seconds_left
from cptlab.sweeps.plan_table import apart_of
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates, of_records
from cptlab.sweeps.show import plain_lines, rich_table, show
from cptlab.sweeps.state import DONE, ORDER, RUNNING, State, state_of
from cptlab.training.progress import duration

HEAD = ["state", "run", "point", "step", "left", "what"]
NUMBERS = (3, 4)


def status_rows(points: list[PlannedPoint], states: list[State]) -> list[list[str]]:
    """One row a point: where it is, how long it takes, its losses or why it failed."""
    rows = []
    for point, state, here in zip(points, states, apart_of(points), strict=True):
        losses = "  ".join(f"{name} {loss:.4f}" for name, loss in state.losses.items())
        step = f"{state.step}/{state.steps or point.steps}" if state.status == RUNNING else ""
        left = duration(state.left) if state.left is not None else ""
        rows.append([state.status, point.run_id, here, step, left, losses or state.reason or state.where])
    return rows


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
    """The table, once."""
    states = [state_of(point.path) for point in points]
    show(HEAD, status_rows(points, states), NUMBERS)
    print(summary(name, points, states, probe, side_by_side), flush=True)


def watch_status(name: str, points: list[PlannedPoint], probe: Rates, side_by_side: int, seconds: float) -> None:
    """Until nothing runs or waits: redrawn in a terminal, elsewhere a line a change and the sum once a minute."""
    if sys.stdout.isatty():
        from rich.console import Console, Group
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(), auto_refresh=False) as live:
            for rows, line in _looks(name, points, probe, side_by_side, seconds):
                unfinished = [row for row in rows if row[0] != DONE]
                live.update(Group(rich_table(HEAD, unfinished or rows, NUMBERS), Text(line)), refresh=True)  # type: ignore[arg-type]
        return
    before: list[list[str]] | None = None
    said = 0.0
    for rows, line in _looks(name, points, probe, side_by_side, seconds):
        changed = [] if before is None else [row for row, old in zip(rows, before, strict=True) if row[0] != old[0]]
        if before is None:
            print("\n".join([*plain_lines(HEAD, rows, NUMBERS), line]), flush=True)
        elif changed or time.monotonic() - said > 60:
            print("\n".join([*("  ".join(filter(None, row)) for row in changed), line]), flush=True)
        else:
            continue
        before, said = rows, time.monotonic()


def _looks(
    name: str, points: list[PlannedPoint], probe: Rates, side_by_side: int, seconds: float
) -> Iterator[tuple[list[list[str]], str]]:
    """Rows and summary every so many seconds; the last when every point is done."""
    while True:
        states = [state_of(point.path) for point in points]
        yield status_rows(points, states), summary(name, points, states, probe, side_by_side)
        if all(state.status == DONE for state in states):
            return
        time.sleep(seconds)
