"""What of the grid was measured at all: sizes down, shares across."""

import numpy as np

from cptlab.report.charts.parts import size_name
from cptlab.report.grid import OFF_LINE, Story, repeats
from cptlab.report.marks import Axis, Chart, Mark, Omitted, Panel, Points
from cptlab.report.style import MUTED

TITLE = "Coverage of the grid"
STATUS = {"finished": "done", "done": "done", "failed": "failed", "interrupted": "failed"}
LOOK = {"done": ("#1d3a70", "o", 11.0), "failed": ("#bf5b17", "X", 9.0), "missing": (MUTED, "o", 9.0)}


def coverage(story: Story) -> Chart | Omitted:
    """Which points of the grid were measured."""
    if not story.on_line:
        return Omitted(TITLE, OFF_LINE)
    cells = coverage_cells(story)
    if not cells:
        return Omitted(TITLE, "the runs have no shares to lay out")
    shares, sizes = sorted({x for _, x in cells}), sorted({s for s, _ in cells})
    words, marks = [], list[Mark]()
    for status, (colour, marker, width) in LOOK.items():
        at, runs = [], []
        for (size, share), cell in cells.items():
            present = [name for name in LOOK if cell.get(name)]
            if status in present:
                aside = 0.32 * (present.index(status) - (len(present) - 1) / 2)
                at.append((shares.index(share) + aside, sizes.index(size)))
                runs.append(cell[status])
        words.append(f"{sum(runs)} {status}")
        if at:
            x, y = np.array(at, float).T
            text = [f"{n} run{'s' * (n != 1)}" for n in runs]
            labels = [str(n) for n in runs] if status == "done" else []
            hollow, place = status == "missing", "inside" if status == "done" else "left"
            marks.append(
                Points(x, y, status, colour, marker, width, hollow=hollow, text=text, labels=labels, place=place)
            )  # fmt: skip
    told = ", ".join(words)
    x_axis = Axis(f"share of {story.domain} [%]", names=[f"{100 * share:.3g}" for share in shares])
    y_axis = Axis("non-embedding parameters", names=[size_name(size) or "all" for size in sizes])
    return Chart(
        "coverage",
        TITLE,
        "Each cell counts the runs of one size and share: filled are done, a cross is failed, an empty ring "
        "is planned but missing, and a blank cell was never planned.",
        [Panel(f"Runs: {told}", f"Grid of sizes and shares: {told}.", x_axis, y_axis, marks)],
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
            for rows in repeats(x := x[np.isfinite(x)]):
                add(size, float(x[rows].mean()), "done", len(rows))
    return cells
