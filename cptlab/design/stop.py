"""Whether the answer is narrow enough: half of every interval within the tolerance, and the choice measured about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.found import is_share
from cptlab.design.state import State
from cptlab.errors import UserError

NEAR = 0.02  # a choice this near to a measured share is at it
SHARES = 5  # at the question's size and tokens: below, a law of the wrong form can look sure of itself


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
    """Whether no interval is wider than +- tolerance, and what was measured where the choice is made holds it."""
    halves = half_widths(state.intervals)
    narrow = bool(state.choice) and bool(halves) and max(halves.values()) <= tolerance
    return narrow and not unheld(state)


def unheld(state: State) -> str:
    """Why runs at the question's size and tokens do not hold its choice yet; '' where they do or that was never run.

    Beyond the measured shares a law's form is all there is, and D-CPT's may fall steeply just short of share 0.
    """
    shares = shares_here(state)
    if shares is None:
        return ""
    if len(shares) < SHARES:
        return f"fewer than {SHARES} shares were measured where it is asked"
    chosen = state.choice.get("domain_share")
    if chosen is not None and not shares[0] - NEAR <= chosen <= shares[-1] + NEAR:
        return f"the choice lies beyond the measured shares, {shares[0]:g} to {shares[-1]:g}"
    return ""


def shares_here(state: State) -> NDArray[np.float64] | None:
    """Domain shares measured at the question's size and tokens, rising; None where that size was never run."""
    rows, case = state.case.fits["domain"].observations.columns, state.case
    if "share" not in rows or "num_params" not in rows:
        return None
    here = np.isclose(rows["num_params"], case.num_params, rtol=1e-3)
    if not here.any():
        return None
    if "tokens" in rows:
        here &= rows["tokens"] >= case.tokens * 0.9
    return np.unique(np.round(rows["share"][here], 2))


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
    why = f", and {unheld(state)}" if unheld(state) else ""
    return f"not enough: {what}; the tolerance is {tolerance:g} to either side{why}"


def _shown(name: str, value: float) -> str:
    return f"{value:.3f}" if is_share(name) else f"{value:.4g}"
