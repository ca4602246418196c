"""One line a point of a grid, with the time left for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.training.outcome import LOCKED, REFUSED
from cptlab.training.progress import duration

if TYPE_CHECKING:
    from cptlab.training.outcome import Outcome


def outcome_line(
    outcome: Outcome, number: int, total: int, elapsed: float, skipped: int = 0, ahead: float | None = None
) -> str:
    """'[3/21] runs/ab12 finished in 12 s  general 3.20  code 3.73  (4 min left)'.

    elapsed: [s] for the `number` points so far, one after the other; `skipped` of them took none. ahead: [s] for the
    rest, where more is known than their number.
    """
    place = f"[{number}/{total}] " if total > 1 else ""
    losses = "".join(f"  {name} {loss:.4f}" for name, loss in outcome.losses.items())
    if outcome.status == "skipped":
        text = f"skipped {outcome.folder}: it is finished already{losses}"
    elif outcome.status == "failed":
        text = f"FAILED {outcome.folder}: {outcome.reason}"
    elif outcome.status == REFUSED:
        text = f"REFUSED {outcome.folder}: {outcome.reason}"
    elif outcome.status == LOCKED:
        text = f"{outcome.folder} is trained by {outcome.reason}; left to it"
    else:
        text = f"{outcome.status} {outcome.folder} in {duration(outcome.seconds)}{losses}"
    trained = number - skipped
    if ahead is None and trained:
        ahead = elapsed / trained * (total - number)
    left = f"  ({duration(ahead)} left)" if total > number and ahead is not None else ""
    return f"{place}{text}{left}"
