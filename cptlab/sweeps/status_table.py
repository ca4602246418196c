"""`cptlab status`: where a study is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.sweeps.axes import axes_of
from cptlab.sweeps.costs import seconds_left
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates, of_records
from cptlab.sweeps.seats import side_by_side
from cptlab.sweeps.show import rich_table, show
from cptlab.sweeps.state import DONE, FAILED_STATE, INTERRUPTED, MISSING, ORDER, RUNNING, State
from cptlab.training.progress import duration

if TYPE_CHECKING:
    from rich.console import Group

    from cptlab.sweeps.blocks import Block

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


@dataclass(frozen=True)
class Look:
    """At one block at one moment."""

    name: str
    head: list[str]
    rows: list[list[str]]
    states: list[State]
    line: str


def look(blocks: Sequence[Block], probe: Rates, workers: int) -> list[Look]:
    """At every block. Speeds are those of its own records, else of all blocks', else of the probe."""
    states = [block.states() for block in blocks]
    shared = of_records([point for block in blocks for point in block.points], [s for own in states for s in own])
    known, looks = shared if shared.seen else probe, []
    for block, own in zip(blocks, states, strict=True):
        head, rows = status_rows(block.points, own)
        line = summary(block.name, block.points, own, known, side_by_side(block.points, workers))
        if sentence := block.made_elsewhere():
            line += f"\n{sentence}"
        looks.append(Look(block.name, head, rows, own, line))
    return looks


def show_status(blocks: Sequence[Block], probe: Rates, workers: int) -> None:
    """The tables, once; in a terminal, where a row is one line, failures follow in full."""
    for block, seen in zip(blocks, look(blocks, probe, workers), strict=True):
        show(seen.head, seen.rows, numbers(seen.head))
        if sys.stdout.isatty():
            for point, state in zip(block.points, seen.states, strict=True):
                if state.status == FAILED_STATE:
                    print(f"failed: {point.path}: {state.reason}")
        print(seen.line, flush=True)


def numbers(head: list[str]) -> tuple[int, int]:
    """Columns of numbers: step and left."""
    return len(head) - 3, len(head) - 2


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
