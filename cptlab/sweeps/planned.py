"""What is known of a point before it runs: its identity, its size, its work, its disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.point import Point

RECORD_BYTES = 64 << 10  # run.json, evals.jsonl and done.json of a usual run


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a study.

    folder: of its record; num_params: N without embeddings; eval_tokens: forward passes only [token]; left_at: step at
    which it leaves its trunk, 0 for a run from a base;
    disk: at most while it runs [byte]; kept: what stays [byte]; devices: processes; gpu: whether they are GPUs.
    """

    run_id: str
    folder: str
    overrides: list[str]
    num_params: int
    num_params_total: int
    tokens: int
    steps: int
    tokens_per_step: int
    flops_per_token: float
    eval_tokens: int
    disk: int
    kept: int
    devices: int
    threads: int
    gpu: bool
    precision: str
    left_at: int = 0

    @property
    def trained(self) -> int:
        """Tokens that it trains itself, not its trunk."""
        return self.tokens - self.left_at * self.tokens_per_step

    @property
    def flops(self) -> float:
        """Of training, as MFU counts them [FLOP]."""
        return self.flops_per_token * self.trained

    @property
    def work(self) -> float:
        """With the evaluations, whose tokens go forward only [FLOP]."""
        return self.flops_per_token * (self.trained + self.eval_tokens / 3)

    @property
    def path(self) -> Path:
        """Folder of its record."""
        return Path(self.folder)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def plan_point(point: Point, overrides: list[str]) -> PlannedPoint:
    """The figures of a checked point."""
    found = plan_config(
        point.config, overrides, run_id=point.run_id, vocab_size=point.corpora.vocab_size,
        eval_tokens=_evaluated(point), answers=point.answers,
    )  # fmt: skip
    return replace(found, left_at=point.trunk.step if point.trunk else 0)


def plan_config(
    config: TrainConfig, overrides: list[str], *, run_id: str, vocab_size: int, eval_tokens: int, answers: int = 0
) -> PlannedPoint:
    """The figures of a configuration.

    vocab_size: rows of the embeddings; eval_tokens: of all evaluations [token]; answers: stored for KL [byte].
    """
    from cptlab.sweeps.shape import count
    from cptlab.training.checkpoint.disk import predict

    counts, machine = count(config, vocab_size), config.machine
    ends = (counts.total - counts.nonembed) * config.adapter.trains_ends
    needed = predict(config, counts.total, counts.trainable, ends, answers)
    kept = needed.final + RECORD_BYTES
    if config.checkpoint.keep_finished:
        kept += config.checkpoint.keep * needed.checkpoint
    return PlannedPoint(
        run_id=run_id, folder=str(Path(config.runs) / run_id), overrides=overrides, num_params=counts.nonembed,
        num_params_total=counts.total, tokens=config.tokens_total, steps=config.steps,
        tokens_per_step=config.tokens_per_step,
        flops_per_token=counts.shape.flops_per_token(config.data.sequence_length), eval_tokens=eval_tokens,
        disk=needed.total + RECORD_BYTES, kept=kept, devices=machine.world_size,
        threads=machine.threads, gpu=machine.accelerator == "gpu", precision=machine.resolved_precision,
        left_at=config.branch.step,
    )  # fmt: skip


def _evaluated(point: Point) -> int:
    """Tokens of all evaluations: split fit at every one, valid and test at the first and the last."""
    evaluation, length = point.config.evaluation, point.config.data.sequence_length
    times = 1 + min(evaluation.points, point.config.steps)
    return sum(
        number * min(evaluation.rows * length, splits[split].num_tokens)
        for splits in point.corpora.corpora.values()
        for split, number in (("fit", times), ("valid", 2), ("test", 2))
    )
