"""`cptlab plan`: what a study will cost."""

from __future__ import annotations

from cptlab.sweeps.axes import axes_of
from cptlab.sweeps.costs import cost_of, disk_warning, total
from cptlab.sweeps.numbers import hours, si
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import Rates
from cptlab.sweeps.show import show
from cptlab.sweeps.state import DONE, State
from cptlab.training.checkpoint.disk import readable

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
    todo = [point for point, state in zip(points, states, strict=True) if state.status != DONE]
    for words, some in (("all", points), ("still to train", todo)):
        cost = total(some, rates)
        text = f"{words}: {len(some)} points, {si(cost.tokens)} tokens, {cost.flops:.2e} FLOPs, {hours(cost.hours)}"
        if cost.hours is not None and side_by_side > 1 and len(some) > 1:
            text += f" ({hours(cost.hours / side_by_side)} with {side_by_side} at a time)"
        text += f", {readable(cost.disk)} kept"
        print(f"{name}: {text}" + ("" if price is None else f", price {money(cost.hours, price)}"))
    print(f"time: from {rates.source}" if rates.source else "time: not known; give --probe, or --gpu NAME --mfu SHARE")
    if warning := disk_warning(todo, side_by_side):
        print(f"warning: {warning}")


def money(value: float | None, price: float) -> str:
    """In the unit of the price."""
    return "?" if value is None else f"{value * price:.2f}"
