"""One study of made-up losses in every form in which a user may bring it: run folders, a table, a W&B project."""

import json
from pathlib import Path

import numpy as np
from run_records import write_run

from cptlab.records.run import EvalRow
from cptlab.training.tracking import WandB

SIZES, SHARES, STEPS = (1e6, 3e6, 9e6), (0.1, 0.3, 0.5, 0.7, 0.9), (3, 5, 9, 16)


def write_study(runs: Path) -> Path:
    """15 finished runs of losses in full precision; returns their folder."""
    rng = np.random.default_rng(0)
    for i, (size, share) in enumerate((n, r) for n in SIZES for r in SHARES):

        def losses(step: int, size: float = size, share: float = share) -> dict[str, float]:
            drop = (size / 1e6) ** -0.3 + (max(step, 1) / 3) ** -0.2
            noise = 0.001 * rng.standard_normal(2)
            return {"prose": 3 + drop + 0.1 * share + noise[0], "code": 2 + drop * (0.2 + share) ** -0.3 + noise[1]}

        name, tokens = f"r{(i * 7) % 15:02d}", 100 * STEPS[-1]
        write_run(runs, name, STEPS, losses, share, num_params_nonembed=int(size), tokens_total=tokens, seed=i % 2)
    return runs


def log_to_wandb(runs: Path, project: str) -> None:
    """What train.py logs while it writes these run folders, by the tracker that it uses."""
    for folder in sorted(runs.iterdir()):
        tracker = WandB(project=project, folder=str(runs.parent))
        tracker.start(json.loads((folder / "run.json").read_text()), folder)
        rows = [json.loads(line) for line in (folder / "evals.jsonl").read_text().splitlines()]
        for step in sorted({row["step"] for row in rows}):
            tracker.log([EvalRow(**row) for row in rows if row["step"] == step])
        tracker.finish(json.loads((folder / "done.json").read_text()))
