"""The record of one run: `run.json` once, `evals.jsonl` appended and flushed, `done.json` last.

Written by rank 0 only. A restart appends rows of `attempt + 1`; readers keep the last attempt of each row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

FINISHED, FAILED, INTERRUPTED = "finished", "failed", "interrupted"
ENDING = ("status", "reason", "attempt", "seconds", "weights_sha256")  # of done.json, what a tracker keeps too


@dataclass(frozen=True)
class RunFacts:
    """Everything about a run that is known when it starts (run.json)."""

    run_id: str
    config: dict  # the composed configuration
    overrides: list[str]  # of the command line
    num_params_nonembed: int  # without input and output embeddings, even untied
    num_params_total: int
    tokens_total: int  # CPT tokens of the whole run
    tokens_per_step: int
    steps_total: int
    sequence_length: int  # tokens a row
    base: dict  # kind, run_id, step, weights_sha256, tokens, lr_history
    tokenizer_hash: str
    corpora: dict  # name -> split -> {content_hash, num_tokens, num_bytes, num_documents}
    general: str  # name of the general corpus, "" if there is none
    domain: str  # name of the new domain if there is just one, else ""
    seed: int
    peak_lr: float
    schedule: dict  # variant and fields
    lr_is_constant_after_warmup: bool
    warmup_tokens: float
    resolved: dict  # what `auto` became: attention, precision; attention_why, which is not compared on resume
    world_size: int
    git_sha: str
    dirty: bool
    versions: dict
    hardware: dict
    started: str  # UTC, ISO 8601
    branch: dict = field(default_factory=dict)  # of a run that left another: run_id and step of the trunk
    num_params_trainable: int = 0  # with an adapter its own, which num_params_total does not count
    sweep: str = ""  # W&B sweep whose agent started the first attempt


@dataclass(frozen=True)
class EvalRow:
    """The loss of one domain and split at one step: sums and counts, not means."""

    run_id: str
    attempt: int
    step: int
    tokens_seen: int
    tokens_by_corpus: dict[str, int]
    unique_tokens_by_corpus: dict[str, int]
    replay_tokens: int
    lr: float
    lr_area: float  # S1 so far, raw LR units
    anneal_area: float  # S2 so far, lambda = .999
    domain: str
    split: str
    loss_sum: float  # [nat]
    num_tokens: int
    num_bytes: int
    loss_se: float  # [nat/token], over rows
    seconds: float  # since the start of the attempt
    epochs_by_corpus: dict[str, float] = field(default_factory=dict)  # passes over the rows of each corpus
    train_loss_sum: float = 0.0  # [nat], of the domain's rows as they were trained on since the evaluation before
    train_num_tokens: int = 0  # labels of those rows
    num_params_mean: float = 0.0  # of sparse training: active parameters averaged over the steps so far; 0 = dense

    @property
    def loss(self) -> float:
        """[nat/token]"""
        return self.loss_sum / self.num_tokens


@dataclass
class RunFolder:
    """`runs/<run_id>/`. Of several processes one writes."""

    path: Path
    writes: bool = True
    attempt: int = field(default=0, init=False)

    def done(self) -> dict | None:
        """done.json, or None while the run has not ended."""
        file = self.path / "done.json"
        return json.loads(file.read_text("utf8")) if file.exists() else None

    @property
    def is_finished(self) -> bool:
        """Only a finished run is skipped; a failed or interrupted one is run again."""
        return (self.done() or {}).get("status") == FINISHED

    def begin(self, facts: RunFacts) -> None:
        """Write run.json unless an earlier attempt did, and count this attempt."""
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "run.json").exists():
            write_whole(self.path / "run.json", asdict(facts))
        self.attempt = 1 + max((row["attempt"] for row in read_rows(self.path)), default=0)
        (self.path / "done.json").unlink(missing_ok=True)
        self._drop_cut_line()

    def _drop_cut_line(self) -> None:
        """A line that a crash cut would join with the next one."""
        file = self.path / "evals.jsonl"
        if file.exists():
            with file.open("r+b") as handle:
                handle.truncate(handle.read().rfind(b"\n") + 1)

    def append(self, rows: list[EvalRow]) -> None:
        """Append rows and force them to the disk."""
        if not self.writes:
            return
        with (self.path / "evals.jsonl").open("a", encoding="utf8") as handle:
            handle.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
            handle.flush()
            os.fsync(handle.fileno())

    def end(self, status: str, reason: str, seconds: float, **more: object) -> None:
        """Write done.json: the run is over."""
        if not self.writes:
            return
        content = {
            "status": status,
            "reason": reason,
            "attempt": self.attempt,
            "seconds": round(seconds, 3),
            **more,
        }
        write_whole(self.path / "done.json", content)


def read_rows(folder: Path) -> list[dict]:
    """Rows of evals.jsonl; a last line cut by a crash is no row."""
    file = folder / "evals.jsonl"
    if not file.exists():
        return []
    lines = file.read_text("utf8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write_whole(file: Path, content: Mapping) -> None:
    """Write JSON to a temporary file, force it to the disk, rename: never half a file."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf8") as handle:
        json.dump(content, handle, indent=1, sort_keys=True)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(file)
