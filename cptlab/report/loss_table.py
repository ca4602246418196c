"""Final losses of every run, and bits per byte: plain strings and lists for the template."""

from typing import Any

import numpy as np

from cptlab.report.grid import Story, repeats
from cptlab.report.style import count, percent
from cptlab.report.words import number, signed

MOST = 150  # rows on the page


def bytes_per_token(story: Story, corpus: str) -> float | None:
    """Mean UTF-8 bytes a token of the corpus; None where the table does not know."""
    if "bytes_per_token" not in story.observations.columns:
        return None
    values = story.rows(corpus)["bytes_per_token"]
    return float(np.mean(values)) if len(values) and np.isfinite(values).all() else None


def bits(loss: float, per_token: float | None) -> str | None:
    """Bits per byte of a loss in nat/token; None where the bytes are not known."""
    return None if per_token is None else number(loss / np.log(2) / per_token)


def losses(story: Story) -> dict[str, Any]:
    """Final losses: a row for each size and share, and for each corpus loss, bits per byte and change."""
    corpora = [c for c in story.corpora if len(story.rows(c))]
    per_token = {c: bytes_per_token(story, c) for c in corpora}
    heads = {c: ["nat/token"] + ["bit/byte"] * (per_token[c] is not None) for c in corpora}
    if story.has_base:
        heads = {c: [*names, "change", "change %"] for c, names in heads.items()}
    rows = []
    for size in story.sizes:
        finals = {c: story.final(c, size) for c in corpora}
        first = finals[corpora[0]]
        for at in repeats(story.x(first)):
            share, cells = float(story.x(first)[at].mean()), []
            for c in corpora:
                table = finals[c].where(np.isin(finals[c].run, first.run[at]))
                cells += _loss_cells(table, len(heads[c]), per_token[c], story.has_base)
            rows.append([count(size) if np.isfinite(size) else "–", percent(share), str(len(at)), *cells])
    return {"corpora": [(c, heads[c]) for c in corpora], "rows": rows[:MOST], "more": max(0, len(rows) - MOST)}


def _loss_cells(table: Any, width: int, per_token: float | None, has_base: bool) -> list[str]:
    if not len(table):
        return ["–"] * width
    loss = float(table["loss"].mean())
    spread = f" ± {number(float(table['loss'].std(ddof=1)))}" if len(table) > 1 else ""
    cells = [number(loss) + spread]
    if per_token is not None:
        cells.append(str(bits(loss, per_token)))
    if has_base:
        base = float(table["base_loss"].mean())
        cells += [signed(loss - base), signed(100 * (loss / base - 1), 1)]
    return cells
