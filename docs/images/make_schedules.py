"""Draw docs/images/schedules.png: every LR schedule over one run.

Usage: python docs/images/make_schedules.py
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from cptlab.report.style import FAINT, FOUR, INK, MUTED, RC, SHARES, colours
from cptlab.schedules.base import Schedule
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.cosine_restarts import CosineRestarts
from cptlab.schedules.curves import CURVES
from cptlab.schedules.infinite import Infinite
from cptlab.schedules.inverse_sqrt import InverseSqrt
from cptlab.schedules.linear import Linear
from cptlab.schedules.piecewise import Piecewise
from cptlab.schedules.rewarm import Rewarm
from cptlab.schedules.trapezoid import Trapezoid
from cptlab.schedules.wsd import WSD

TOTAL, WARMUP = 1000, 60
POINTS = [[0, 0], [60, 1], [400, 1], [500, 0.4], [750, 0.4], [1000, 0.05]]
INFINITE = {"warmup_tokens": WARMUP, "cooldown_tokens": 200, "constant": 0.55, "floor": 0.05}
# name -> (schedule, tokens of the run, label) of each line, the most important one last
DRAWN: dict[str, list[tuple[Schedule, int, str]]] = {
    "constant": [(Constant(warmup_tokens=WARMUP), TOTAL, "")],
    "linear": [(Linear(warmup_tokens=WARMUP), TOTAL, "")],
    "cosine": [(Cosine(warmup_tokens=WARMUP, floor=0.1), TOTAL, "")],
    "wsd": [(WSD(warmup_tokens=WARMUP, decay_share=0.4, floor=0.05, decay=curve), TOTAL, curve) for curve in CURVES],
    "trapezoid": [(Trapezoid(warmup_tokens=WARMUP, decay_tokens=300), n, f"{n} tokens") for n in (600, TOTAL)],
    "inverse_sqrt": [(InverseSqrt(warmup_tokens=WARMUP, timescale_tokens=100), TOTAL, "")],
    "infinite": [(Infinite(**INFINITE, anneal_share=s), n, f"{n} tokens") for s, n in ((0.3, 600), (0.15, TOTAL))],
    "rewarm": [(Rewarm(warmup_tokens=150, start=0.2, floor=0.1), TOTAL, "")],
    "cosine_restarts": [(CosineRestarts(warmup_tokens=WARMUP, cycles=3, growth=1.5, floor=0.1), TOTAL, "")],
    "piecewise": [(Piecewise(points=POINTS), TOTAL, "")],
}


def draw(axes: Axes, name: str) -> None:
    """One schedule, with its variants where it has some."""
    lines = DRAWN[name]
    hues = [*FOUR, MUTED] if name == "wsd" else colours(len(lines), SHARES)
    for (schedule, total, label), colour in zip(lines, hues, strict=True):
        tokens = np.arange(0, total + 0.5, 0.5)
        factor = schedule.factor(tokens, total)
        assert len(factor) == len(tokens)
        axes.plot(tokens, factor, color=colour, label=label or None)
    if name == "rewarm":
        before = np.linspace(-250, 0, 50)
        axes.plot(before, 0.2 + 0.5 * (before / 250) ** 2, color=MUTED, linestyle=":")
        axes.text(-255, 0.75, "base", color=MUTED, fontsize=7)
    if name == "piecewise":
        axes.plot(*np.array(POINTS).T, "o", color=INK, markersize=3)
    if len(lines) > 1:
        place = {"loc": "upper right"} if name == "infinite" else {"loc": "lower left", "bbox_to_anchor": (0.1, 0.02)}
        axes.legend(**place, fontsize=6, handlelength=1.2)
    axes.set(title=name, ylim=(0, 1.08), yticks=(0, 0.5, 1), xticks=(0, 500, 1000))
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=0)


def main() -> None:
    """Five by two."""
    with plt.rc_context(RC):
        figure, grid = plt.subplots(2, 5, figsize=(10, 4), sharey=True, layout="constrained")
        for axes, name in zip(grid.flat, DRAWN, strict=True):
            draw(axes, name)
        for axes in grid[:, 0]:
            axes.set_ylabel("LR / peak LR")
        for axes in grid[-1]:
            axes.set_xlabel("tokens")
        figure.savefig(Path(__file__).with_name("schedules.png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
