"""Pre-train the quick start's bases with train.py's own path: three peak LRs a size, then the best in full.

The LR is chosen by the general loss on split `valid` after a short run; `choice.json` keeps what was seen.
"""

import json
import shutil
import sys
from pathlib import Path

from cptlab.records.run import read_rows, write_whole
from cptlab.sweeps.local_agent import run_points
from cptlab.sweeps.preflight import check_points

HERE = Path(__file__).parent
BASES = HERE / "bases"
SIZES = ("300k", "100k", "30k")  # the longest first
PEAK_LRS = ("2.5e-3", "5e-3", "1e-2")
PROBE_TOKENS, TOKENS = 3_072_000, 20_480_000
COMMON = [
    "model=tiny", "model.base_run=", "data=installed_packages", "mixture=general_only", "lr_schedule=wsd",
    "lr_schedule.warmup_tokens=204800", "lr_schedule.decay_share=0.3", "runs=runs/bases",
]  # fmt: skip


def point(size: str, peak_lr: str, tokens: int) -> list[str]:
    """Overrides of one pre-training run."""
    return [*COMMON, f"model.size={size}", f"optimizer.peak_lr={peak_lr}", f"tokens={tokens}"]


def trained(points: list[list[str]]) -> dict[tuple[str, str], Path]:
    """(size, peak LR) -> run folder, all trained."""
    check_points(points)
    outcomes = {outcome.run_id: outcome for outcome in run_points(points, workers=2)}
    if failed := [o.reason for o in outcomes.values() if o.status == "failed"]:
        sys.exit("a base did not train: " + "; ".join(failed))
    folders = {}
    for outcome in outcomes.values():
        overrides = dict(o.split("=", 1) for o in json.loads((outcome.folder / "run.json").read_text())["overrides"])
        folders[overrides["model.size"], overrides["optimizer.peak_lr"]] = outcome.folder
    return folders


def valid_loss(run: Path) -> float:
    """Final general loss on split `valid` [nat/token]."""
    rows = [row for row in read_rows(run) if row["domain"] == "general" and row["split"] == "valid"]
    last = max(rows, key=lambda row: (row["attempt"], row["step"]))
    return last["loss_sum"] / last["num_tokens"]


def main() -> None:
    """Probe, choose, train, install."""
    probes = trained([point(size, lr, PROBE_TOKENS) for size in SIZES for lr in PEAK_LRS])
    seen = {size: {lr: round(valid_loss(probes[size, lr]), 4) for lr in PEAK_LRS} for size in SIZES}
    best = {size: min(losses, key=losses.__getitem__) for size, losses in seen.items()}
    print("general loss on valid after", PROBE_TOKENS, "tokens:", seen, "chosen:", best)
    bases = trained([point(size, best[size], TOKENS) for size in SIZES])
    BASES.mkdir(exist_ok=True)
    for size in SIZES:
        shutil.rmtree(BASES / size, ignore_errors=True)
        shutil.copytree(bases[size, best[size]], BASES / size)
    write_whole(
        BASES / "choice.json",
        {"probe_tokens": PROBE_TOKENS, "tokens": TOKENS, "valid_loss": seen, "peak_lr": best},
    )


if __name__ == "__main__":
    main()
