"""Whether the answer is narrow enough: half of every interval within the tolerance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cptlab.decisions.found import is_share
from cptlab.design.state import State
from cptlab.errors import UserError

SHARES = 4  # at the question's size and tokens: below, a law of the wrong form can look sure of itself


def check_tolerance(tolerance: float) -> None:
    """UserError outside (0, 0.5)."""
    if not 0 < tolerance < 0.5:
        raise UserError(f"--tolerance is {tolerance:g}; it must lie between 0 and 0.5 (0.02: a share within 2 points)")


def half_widths(intervals: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Half of each interval: of a share as it is, of any other quantity of its logarithm (.02 is 2 %)."""
    return {
        name: (high - low if is_share(name) else float(np.log(high / low)) if low > 0 else np.inf) / 2
        for name, (low, high) in intervals.items()
    }


def is_enough(state: State, tolerance: float) -> bool:
    """Whether there is a choice, held by enough shares where it is made, and no interval is wider than +- tolerance."""
    halves = half_widths(state.intervals)
    narrow = bool(state.choice) and bool(halves) and max(halves.values()) <= tolerance
    return narrow and shares_here(state) >= SHARES


def shares_here(state: State) -> int:
    """Distinct shares measured at the question's size up to its tokens; many where that size was never run."""
    rows, case = state.case.fits["domain"].observations.columns, state.case
    if "share" not in rows or "num_params" not in rows:
        return SHARES
    here = np.isclose(rows["num_params"], case.num_params, rtol=1e-3)
    if not here.any():
        return SHARES
    if "tokens" in rows:
        here &= rows["tokens"] >= case.tokens * 0.9
    return len(np.unique(np.round(rows["share"][here], 2)))


def sentence(state: State, tolerance: float) -> str:
    """`enough: ...` or how wide the interval still is."""
    parts = []
    for name, (low, high) in state.intervals.items():
        chosen = state.choice.get(name, float("nan"))
        parts.append(f"{name} {_shown(name, chosen)}, interval [{_shown(name, low)}, {_shown(name, high)}]")
    if not state.choice:
        parts = ["no candidate meets the question under the point fit", *parts]
    what = "; ".join(parts) or "the question leaves one candidate"
    if is_enough(state, tolerance):
        return f"enough: {what} is within the tolerance of {tolerance:g}"
    why = "" if shares_here(state) >= SHARES else f", and fewer than {SHARES} shares were measured where it is asked"
    return f"not enough: {what}; the tolerance is {tolerance:g} to either side{why}"


def _shown(name: str, value: float) -> str:
    return f"{value:.3f}" if is_share(name) else f"{value:.4g}"
