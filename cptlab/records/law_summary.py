"""The columns that laws read, of the last evaluation of a run, flat: what a tracker keeps as a run's summary."""

from __future__ import annotations

from cptlab.records.run_columns import TEXT, columns_of
from cptlab.records.run_folders import Run

OF_DOMAIN = ("loss", "loss_se", "base_loss", "bytes_per_token", "share", "unique_tokens")


def law_summary(run: Run, split: str = "fit") -> dict[str, float]:
    """{'law/num_params': N, 'law/share_code': .3, 'law/loss/code': ...}; {} of a run without a base and a last row."""
    last = max((row["step"] for row in run.rows), default=0)
    starts = {(row["domain"], row["split"]) for row in run.rows if not row["step"]}
    rows = [
        row for row in run.rows
        if last and row["step"] == last and row["split"] == split and (row["domain"], split) in starts
    ]  # fmt: skip
    found: dict[str, float] = {}
    for columns in columns_of(run, rows):
        for name, value in columns.items():
            if name not in TEXT and value is not None:
                found[f"law/{name}/{columns['domain']}" if name in OF_DOMAIN else f"law/{name}"] = value
    return found
