"""How far to trust the fit: predicted against measured, and what of the grid was measured at all."""

from functools import partial
from typing import Any

import numpy as np

from cptlab.report.grid import Story, repeats
from cptlab.report.marks import size_name
from cptlab.report.style import FAINT, INK, MUTED, Panel, Plot, shorten

HELD = {  # protocol: (label, marker)
    "ratio": ("share held out", "D"),
    "ratio_ends": ("end share held out", "^"),
    "tokens": ("last tokens held out", "s"),
    "size": ("largest size held out", "P"),
}


def predicted_against_measured(story: Story) -> Plot | None:
    """Two panels a corpus: the loss itself with its residuals, and loss minus base loss."""
    panels = []
    for corpus, fit in story.fits.items():
        if corpus not in story.drawn or not np.isfinite(fit.predicted).all():
            continue
        error = fit.heldout.get("ratio")
        words = f" Held-out shares: {100 * error.mape:.2f} % mean absolute error." if error is not None else ""
        panels.append(
            Panel(
                f"{shorten(corpus, 20)}: predicted against measured",
                partial(_draw_predicted, story, corpus, False),
                f"Predicted against measured loss on {corpus} [nat/token], {len(fit.residuals)} rows.{words}",
                right=0.15,
            )
        )
        if np.isfinite(fit.observations.columns.get("base_loss", np.nan)).any():
            panels.append(
                Panel(
                    f"{shorten(corpus, 20)}: the change alone",
                    partial(_draw_predicted, story, corpus, True),
                    f"Predicted against measured loss minus base loss on {corpus} [nat/token].{words}",
                    right=0.15,
                )
            )
    return Plot(
        "predicted_against_measured",
        "Predicted against measured",
        "On the diagonal the law is right; pale dots were fitted, coloured marks were predicted by a fit "
        "that had not seen them, and taking the base loss off (second panel) removes the easy part.",
        panels,
    )


def _draw_predicted(story: Story, corpus: str, against_base: bool, axes: Any) -> None:
    fit = story.fits[corpus]
    measured = fit.predicted + fit.residuals
    base = fit.observations["base_loss"] if against_base else np.zeros(len(measured))
    many = len(measured) > 1500
    axes.scatter(measured - base, fit.predicted - base, s=9, color=FAINT, linewidth=0, label="fitted", rasterized=many)
    shown = [measured - base, fit.predicted - base]
    palette = dict(zip(HELD, ("#1d3a70", "#bf5b17", "#2f8577", "#7a3b8f"), strict=True))
    for protocol, (label, marker) in HELD.items():
        held = fit.heldout.get(protocol)
        if held is None or not len(held.rows):
            continue
        x, y = measured[held.rows] - base[held.rows], held.predicted - base[held.rows]
        axes.scatter(
            x, y, s=13, marker=marker, facecolor="none", edgecolor=palette[protocol], linewidth=0.8,
            label=label, rasterized=many,
        )  # fmt: skip
        shown += [x, y]
    values = np.concatenate(shown)
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0, 1])
    margin = 0.04 * (high - low) + 1e-9
    axes.plot([low - margin, high + margin], [low - margin, high + margin], color=INK, linewidth=0.8, zorder=0)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    what = "loss − base loss" if against_base else "loss"
    axes.set_xlabel(f"measured {what} [nat/token]")
    axes.set_ylabel(f"predicted {what} [nat/token]")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0))
    if not against_base:
        _residual_inset(fit, many, axes)


def _residual_inset(fit: Any, many: bool, axes: Any) -> None:
    inset = axes.inset_axes((0.63, 0.13, 0.36, 0.27))
    milli = 1000 * fit.residuals
    inset.hist(milli, bins=min(30, max(8, len(milli) // 6)), color=FAINT)
    inset.axvline(0, color=INK, linewidth=0.7)
    inset.set_yticks([])
    inset.grid(visible=False)
    inset.spines["left"].set_visible(False)
    inset.tick_params(labelsize=6, length=2, pad=1.5)
    inset.locator_params(axis="x", nbins=3)
    inset.set_title("residual [mnat/token]", fontsize=6.5, fontweight="normal", loc="center", pad=2)


STATUS = {"finished": "done", "done": "done", "failed": "failed", "interrupted": "failed"}


def coverage(story: Story) -> Plot | None:
    """Which points of the grid were measured: sizes down, shares across."""
    cells = coverage_cells(story)
    if not cells:
        return None
    counts = {s: sum(c.get(s, 0) for c in cells.values()) for s in ("done", "failed", "missing")}
    words = ", ".join(f"{n} {status}" for status, n in counts.items())
    return Plot(
        "coverage",
        "Coverage of the grid",
        "Each cell counts the runs of one size and share: filled are done, a cross is failed, an empty ring "
        "is planned but missing, and a blank cell was never planned.",
        [
            Panel(
                f"Runs: {words}",
                partial(_draw_coverage, cells),
                f"Grid of sizes and shares: {words}.",
                right=0.15,
            )
        ],
        columns=1,
    )


def coverage_cells(story: Story) -> dict[tuple[float, float], dict[str, int]]:
    """(num_params, share) -> {done, failed, missing: runs}, from the facts or else from the observations."""
    cells: dict[tuple[float, float], dict[str, int]] = {}

    def add(size: float, share: float, status: str, runs: int) -> None:
        cell = cells.setdefault((float(size), round(float(share), 2)), {})
        cell[status] = cell.get(status, 0) + runs

    for row in story.facts.get("coverage") or []:
        seeds = row.get("seeds", 1)
        runs = len(seeds) if isinstance(seeds, list | tuple | set) else int(seeds or 1)
        add(row["num_params"], row["share"], STATUS.get(str(row["status"]), "missing"), runs)
    if not cells and story.corpora:
        for size in story.sizes:
            x = story.x(story.final(story.domain, size))
            for rows in repeats(x[np.isfinite(x)]):
                add(size, float(x[rows].mean()), "done", len(rows))
    return cells


def _draw_coverage(cells: dict[tuple[float, float], dict[str, int]], axes: Any) -> None:
    sizes, shares = sorted({s for s, _ in cells}), sorted({x for _, x in cells})
    most = max(cell.get("done", 0) for cell in cells.values()) or 1
    for (size, share), cell in cells.items():
        column, row = shares.index(share), sizes.index(size)
        present = [status for status in ("done", "failed", "missing") if cell.get(status)]
        for k, status in enumerate(present):
            at = column + 0.32 * (k - (len(present) - 1) / 2)
            runs = cell[status]
            if status == "done":
                axes.plot(at, row, "o", color="#1d3a70", markersize=8 + 5 * (runs / most), clip_on=False)
                axes.text(at, row, str(runs), color="white", ha="center", va="center", fontsize=7)
            elif status == "failed":
                axes.plot(at, row, "X", color="#bf5b17", markersize=9, markeredgecolor="white", clip_on=False)
                axes.text(at, row - 0.42, f"{runs} failed", color=INK, ha="center", va="center", fontsize=6)
            else:
                axes.plot(at, row, "o", color=MUTED, markersize=9, fillstyle="none", clip_on=False)
    axes.grid(visible=False)
    axes.set_xticks(range(len(shares)), [f"{100 * share:.3g}" for share in shares])
    axes.set_yticks(range(len(sizes)), [size_name(size) or "all" for size in sizes])
    axes.set(xlim=(-0.5, len(shares) - 0.5), ylim=(-0.6, len(sizes) - 0.4))
    axes.set_xlabel("domain share [%]")
    axes.set_ylabel("non-embedding parameters")
