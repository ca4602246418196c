"""`cptlab plan`: what a study will cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cptlab.sweeps.axes import axes_of
from cptlab.sweeps.costs import cost_of, disk_warning, total
from cptlab.sweeps.numbers import hours, si
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates
from cptlab.sweeps.show import show
from cptlab.sweeps.state import DONE, State
from cptlab.training.checkpoint.disk import readable

if TYPE_CHECKING:
    from cptlab.sweeps.blocks import Block

FIGURES = ["params", "tokens", "FLOPs", "time", "disk"]


def show_plan(
    name: str, points: list[PlannedPoint], states: list[State], rates: Rates, price: float | None, side_by_side: int
) -> None:
    """Every point, then the sums; `price`: of an hour of one device."""
    axes, values = axes_of([point.overrides for point in points])
    head = ["state", "run", *axes, *FIGURES, *([] if price is None else ["price"])]
    rows = []
    for point, state, here in zip(points, states, values, strict=True):
        cost = cost_of(point, rates)
        row = [state.status, point.run_id, *here, si(point.num_params), si(cost.tokens), f"{cost.flops:.2e}",
               hours(cost.hours), readable(cost.disk)]  # fmt: skip
        rows.append(row + ([] if price is None else [money(cost.hours, price)]))
    show(head, rows, range(2 + len(axes), len(head)))
    for words, some in (("all", points), ("still to train", left(points, states))):
        print(f"{name}: {words}: {sums(some, rates, price, side_by_side)}")


def sums(points: list[PlannedPoint], rates: Rates, price: float | None, side_by_side: int = 1) -> str:
    """'25 points, 16.4M tokens, 2.3e+13 FLOPs, 5.2 min (2.6 min with 2 at a time), 21 MB kept'."""
    cost = total(points, rates)
    text = f"{len(points)} points, {si(cost.tokens)} tokens, {cost.flops:.2e} FLOPs, {hours(cost.hours)}"
    if cost.hours is not None and side_by_side > 1 and len(points) > 1:
        text += f" ({hours(cost.hours / side_by_side)} with {side_by_side} at a time)"
    return f"{text}, {readable(cost.disk)} kept" + ("" if price is None else f", price {money(cost.hours, price)}")


def show_end(blocks: Sequence[Block], states: Sequence[list[State]], rates: Rates, price: float | None,
             side_by_side: int) -> None:  # fmt: skip
    """The sums of several blocks together, what they leave out, where hours are from, and whether the disk will do."""
    todo = left([point for block in blocks for point in block.points], [state for own in states for state in own])
    if len(blocks) > 1:
        print(f"{blocks[-1].name} with its bases: still to train: {sums(todo, rates, price)}")
    for block in blocks:
        if sentence := block.made_elsewhere():
            print(sentence)
    print(f"time: from {rates.source}" if rates.source else "time: not known; give --probe, or --gpu NAME --mfu SHARE")
    if warning := disk_warning(todo, side_by_side):
        print(f"warning: {warning}")


def left(points: list[PlannedPoint], states: list[State]) -> list[PlannedPoint]:
    """Those that are not done."""
    return [point for point, state in zip(points, states, strict=True) if state.status != DONE]


def money(value: float | None, price: float) -> str:
    """In the unit of the price."""
    return "?" if value is None else f"{value * price:.2f}"
