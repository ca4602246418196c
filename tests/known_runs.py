"""Run folders with losses that a test chooses, in steps of 100 tokens."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from cptlab.metrics.curves import Curve
from cptlab.records.run import EvalRow, RunFacts, RunFolder

FACTS = RunFacts(
    run_id="a", config={}, overrides=[], num_params_nonembed=30_000, num_params_total=60_000, tokens_total=1000,
    tokens_per_step=100, steps_total=10, sequence_length=10,
    base={"kind": "run", "run_id": "base", "weights_sha256": "w", "step": 10, "tokens": 1000,
          "lr_history": {"peak_lr": 1e-2, "schedule": {"variant": "cosine", "warmup_tokens": 0, "floor": 0.1}}},
    tokenizer_hash="t",
    corpora={name: {"fit": {"content_hash": f"{name}0"}} for name in ("prose", "law", "code")}, general="prose",
    domain="law", seed=0, peak_lr=1e-3, schedule={"variant": "wsd", "warmup_tokens": 0, "decay_share": 0.5, "floor": 0.25},
    lr_is_constant_after_warmup=True, warmup_tokens=0, resolved={}, world_size=1, git_sha="", dirty=False, versions={},
    hardware={}, started="",
)  # fmt: skip


def curve(losses, tokens=None, se=0.0, **more):
    """A curve of one corpus, a row every ten steps."""
    n = len(losses)
    steps = np.arange(n) * 10
    return Curve(
        more.pop("domain", "prose"), steps, np.array(tokens if tokens else steps * 100.0, float),
        np.array(losses, float), np.full(n, float(se)), np.full(n, 4.0), **more,
    )  # fmt: skip


def write_run(
    runs: Path,
    run_id: str,
    losses: dict[int, dict[str, float]],
    se=0.1,
    split="fit",
    status="finished",
    share=0.25,
    **changes,
):
    """runs/<run_id>: losses[step][corpus]; 10 labels and 40 bytes a row, `share` of each corpus but prose."""
    facts = dataclasses.replace(FACTS, run_id=run_id, **changes)
    folder = RunFolder(runs / run_id)
    folder.begin(facts)
    for step, measured in losses.items():
        count = {name: round(step * 100 * (1 - share if name == "prose" else share)) for name in measured}
        folder.append([
            EvalRow(
                run_id=run_id, attempt=1, step=step, tokens_seen=step * 100, tokens_by_corpus=count,
                unique_tokens_by_corpus=count, replay_tokens=0, lr=1e-3, lr_area=step * 1e-3, anneal_area=0.0,
                domain=name, split=split, loss_sum=10 * loss, num_tokens=10, num_bytes=40, loss_se=se, seconds=1.0,
            )
            for name, loss in measured.items()
        ])  # fmt: skip
    if status:
        folder.end(status, "", 1.0, weights_sha256=f"weights of {run_id}")
    return runs / run_id


def write_diagnostics(folder: Path, lines):
    """diagnostics.jsonl of a run folder."""
    text = "".join(json.dumps({"attempt": 1, "tokens_seen": 100 * line["step"], **line}) + "\n" for line in lines)
    (folder / "diagnostics.jsonl").write_text(text)
