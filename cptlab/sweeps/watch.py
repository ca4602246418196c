"""`cptlab status --watch`: until every point is done, or those that are not have failed and nothing runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence

from cptlab.sweeps.blocks import SETTLED, Block, is_stale
from cptlab.sweeps.rates import Rates
from cptlab.sweeps.show import plain_lines
from cptlab.sweeps.state import DONE, FAILED_STATE, State
from cptlab.sweeps.status_table import Look, look, numbers, screen

MINUTE = 60  # [s] after which a pipe gets the sums though nothing has changed


def watch_status(
    blocks: list[Block], read: Callable[[], list[Block]], probe: Rates, workers: int, seconds: float
) -> None:
    """Redrawn in a terminal, elsewhere a line a change and the sums once a minute.

    read: the blocks again, once bases are trained and their study's points can be opened.
    """
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            for looks in _looks(blocks, read, probe, workers, seconds):
                now = next((each for each in looks if not all(_settled(each.states))), looks[-1])  # what goes on
                lines = "\n".join(each.line for each in looks)
                height = console.height - lines.count("\n")
                live.update(screen(now.head, now.rows, lines, console.width, height), refresh=True)
        return
    before: list[Look] = []
    said = 0.0
    for looks in _looks(blocks, read, probe, workers, seconds):
        if [each.name for each in looks] != [each.name for each in before] or _heads(looks) != _heads(before):
            lines = [line for each in looks for line in (*_plain(each), each.line)]
        else:
            lines = [line for new, old in zip(looks, before, strict=True) for line in _changed(new, old)]
            if not lines and time.monotonic() - said < MINUTE:
                continue
            lines += [each.line for each in looks]
        print("\n".join(lines), flush=True)
        before, said = looks, time.monotonic()


def is_over(states: Sequence[Sequence[State]], opened: Sequence[bool]) -> bool:
    """Whether nothing goes on by itself: all are done or have failed, or bases have that the next block waits for.

    opened: of each block, whether it waits for none.
    """
    for number, own in enumerate(states):
        if not all(_settled(own)):
            return False
        waited_for = number + 1 < len(states) and not opened[number + 1]
        if waited_for and any(state.status == FAILED_STATE for state in own):
            return True
    return True


def _settled(states: Sequence[State]) -> list[bool]:
    return [state.status in SETTLED for state in states]


def _plain(each: Look) -> list[str]:
    return plain_lines(each.head, each.rows, numbers(each.head))


def _heads(looks: Sequence[Look]) -> list[list[str]]:
    """Which points they show."""
    return [[row[1] for row in each.rows] for each in looks]


def _changed(new: Look, old: Look) -> list[str]:
    pairs = zip(new.rows, old.rows, strict=True)
    return ["  ".join(filter(None, row)) for row, earlier in pairs if row[0] != earlier[0]]


def _looks(
    blocks: list[Block], read: Callable[[], list[Block]], probe: Rates, workers: int, seconds: float
) -> Iterator[list[Look]]:
    """Every so many seconds. A failed point may be tried again at once, so that it must have failed for two looks."""
    over = 0
    while True:
        looks = look(blocks, probe, workers)
        yield looks
        states = [each.states for each in looks]
        over = over + 1 if is_over(states, [block.opened for block in blocks]) else 0
        if over == 2 or all(state.status == DONE for own in states for state in own):
            return
        time.sleep(seconds)
        if is_stale(blocks):
            blocks = read()
