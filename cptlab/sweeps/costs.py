"""A plan's sums: work, hours, disk and money of the points that are still to train."""

from __future__ import annotations

from dataclasses import dataclass

from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates
from cptlab.sweeps.state import DONE, FAILED_STATE, RUNNING, State
from cptlab.training.checkpoint.disk import MARGIN, free_bytes, readable


@dataclass(frozen=True)
class Cost:
    """Of one point or of several. hours: of its devices together, None where no speed is known."""

    tokens: int
    flops: float
    hours: float | None
    disk: int

    def __add__(self, other: Cost) -> Cost:
        hours = None if self.hours is None or other.hours is None else self.hours + other.hours
        return Cost(self.tokens + other.tokens, self.flops + other.flops, hours, self.disk + other.disk)


def cost_of(point: PlannedPoint, rates: Rates) -> Cost:
    """Of all that the run trains itself; disk is what stays."""
    seconds = rates.seconds(point)
    hours = None if seconds is None else seconds / 3600 * point.devices
    return Cost(point.trained, point.flops, hours, point.kept)


def total(points: list[PlannedPoint], rates: Rates) -> Cost:
    """Of all of them."""
    return sum((cost_of(point, rates) for point in points), Cost(0, 0.0, 0.0, 0))


def seconds_left(points: list[PlannedPoint], states: list[State], rates: Rates, side_by_side: int) -> float | None:
    """Until all are done, with so many at a time; done and failed ones count nothing. None where no speed is known."""
    each = []
    for point, state in zip(points, states, strict=True):
        if state.status in (DONE, FAILED_STATE):
            continue
        whole = rates.seconds(point)
        own = state.left if state.status == RUNNING and state.left is not None else whole
        if own is None:
            return None
        each.append(own)
    return max(max(each), sum(each) / side_by_side) if each else 0.0


def disk_warning(todo: list[PlannedPoint], side_by_side: int = 1) -> str:
    """A sentence where records, final weights and the checkpoints of those that run at a time do not fit; else ""."""
    if not todo:
        return ""
    passing = sorted((point.disk - point.kept for point in todo), reverse=True)[:side_by_side]
    needed, runs = sum(point.kept for point in todo) + sum(passing) + MARGIN, todo[0].path.parent
    free = free_bytes(runs)
    if needed <= free:
        return ""
    return (
        f"{runs} has {readable(free)} free and the points still to train need {readable(needed)}: the sweep would stop"
        " on the way; free some, or leave out the final weights with save_model=false"
    )
