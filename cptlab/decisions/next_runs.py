"""Which runs would narrow an answer most, and the command of a run."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MEASURED = 0.02  # a share nearer than this to a measured one is measured
APART = 0.05  # shares of the next runs lie at least so far from one another


def next_shares(wanted: Sequence[float], measured: Array, most: int = 3) -> list[float]:
    """Shares to measure next, two decimals, none beside a measured or an earlier one.

    wanted: most useful first (the choice, the ends of its interval); if all of them are measured, the middle
    of the widest gap between measured shares next to the first of them.
    """
    found: list[float] = []
    for share in wanted:
        far = all(abs(share - other) > MEASURED for other in measured)
        if far and all(abs(share - other) > APART for other in found):
            found.append(round(float(share), 2))
    if not found and len(wanted):
        marks = np.unique(np.concatenate([[0.0], measured, [1.0]]))
        middles, widths = (marks[1:] + marks[:-1]) / 2, np.diff(marks)
        beside = np.abs(middles - wanted[0]) <= widths / 2 + MEASURED
        if (open_gap := beside & (widths > 2 * MEASURED)).any():
            found = [round(float(middles[np.argmax(np.where(open_gap, widths, 0))]), 2)]
    return sorted(found[:most])


def train_command(overrides: Sequence[str], changes: Mapping[str, Any]) -> str:
    """The train.py command of a recorded run with some overrides replaced; values quoted for a shell."""
    kept = [o for o in overrides if o.lstrip("+~").partition("=")[0] not in changes]
    new = [f"{name}={_text(value)}" for name, value in changes.items()]
    return " ".join(["python train.py", *map(shlex.quote, [*kept, *new])])


def _text(value: Any) -> str:
    """Shortest text that says the number to six digits; integers whole."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    return str(value)
