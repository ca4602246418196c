"""A run that leaves another one: from a checkpoint of a trunk, with its weights, optimizer state, tokens and areas.

The branch is the run that its own configuration describes, begun later: up to the step where it leaves, the trunk had
the same batches and the same LR, so a WSD branch of a constant trunk equals the WSD run from the start bit by bit.
Its tokens count from the trunk's base.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.data.corpus import Corpora
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.models.base import Base
from cptlab.records.identity import canonical_json
from cptlab.records.run import EvalRow, RunFolder, read_rows
from cptlab.schedules.area import learning_rates
from cptlab.schedules.history import schedule_of
from cptlab.training.checkpoint import folder as checkpoints
from cptlab.training.facts import plain

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.records.run import RunFacts
    from cptlab.training.checkpoint.load import Resume

# What may differ between a trunk and its branch; corpora and weights are held against each other by content.
FREE = {"lr_schedule", "tokens", "evaluation", "machine", "tracking", "checkpoint", "runs", "save_model", "branch",
        "data", "selection", "model", "diagnostics", "stream", "stage",
        "sparsity"}  # fmt: skip
OF_STUDY = {"tokenizer", "corpora", "the base's weights"}  # what changes under a study that itself stays as it is
OF_DATA = ("general", "packing", "max_epochs", "on_max_epochs")


@dataclass(frozen=True)
class Trunk:
    """The run that is left, and where: the checkpoint after `step` optimizer steps."""

    path: Path
    facts: dict
    step: int
    checkpoint: Path

    def of_branch(self) -> dict[str, Any]:
        """What the record of the branch keeps of it, and what makes its run_id another."""
        return {"run_id": self.facts["run_id"], "step": self.step}

    def base_rows(self, folder: RunFolder) -> list[EvalRow]:
        """The trunk's evaluations before the first update, as rows of the branch: both have one base."""
        rows = [row for row in read_rows(self.path) if row["step"] == 0]
        last = {(row["domain"], row["split"]): row for row in rows}
        mine = {"run_id": folder.path.name, "attempt": folder.attempt, "seconds": 0.0}
        return [EvalRow(**row | mine) for row in last.values()]

    def resume(self, facts: RunFacts, allow_other_resolution: bool, say: Callable[[str], None]) -> Resume:
        """Its checkpoint as the start of the branch. UserError if it was computed with something else."""
        from cptlab.training.checkpoint.load import Resume
        from cptlab.training.checkpoint.resolution import compare

        content = json.loads((self.checkpoint / checkpoints.STATE).read_text("utf8"))
        compare(content, facts, allow_other_resolution, say)
        content.pop("order", None)  # of the trunk's plan, which may be shorter; it only spares time
        return Resume(self.checkpoint, content)


def open_trunk(config: TrainConfig, corpora: Corpora, base: Base) -> Trunk | None:
    """The trunk that `branch` names, None without one. UserError unless this run could have been it up to there."""
    if not config.branch.run:
        return None
    path = Path(config.branch.run)
    try:
        facts = json.loads((path / "run.json").read_text("utf8"))
    except (OSError, ValueError) as error:
        raise UserError(f"branch.run: {path} holds no run.json; give the run folder of the trunk") from error
    trunk = Trunk(path, facts, *_checkpoint(path, config.branch.step))
    if (facts["config"].get("sparsity") or {}).get("variant", "none") != "none":
        raise UserError(f"branch.run: the masks of {facts['run_id']} depend on its length; branch from a dense run")
    if other := _differing(config, corpora, base, facts):
        is_old = path.parent.name == ".trunks" and OF_STUDY.issuperset(other)
        raise UserError(
            f"branch.run: the run {facts['run_id']} differs from this one in {', '.join(other)}; a branch may change"
            " lr_schedule and tokens alone"
            + (f". Remove {path}, and the study trains its trunk anew" if is_old else "")
        )
    if trunk.step >= config.steps:
        raise UserError(
            f"branch.run: the trunk is left at step {trunk.step}, this run ends at {config.steps}; give more tokens"
        )
    _refuse_other_rates(config, trunk)
    return trunk


def _checkpoint(path: Path, step: int) -> tuple[int, Path]:
    """(step, folder) of the asked checkpoint, the newest whole one for step 0."""
    there = {checkpoints.step_of(each): each for each in checkpoints.kept(path) if not checkpoints.problem(each)}
    if step in there or (step == 0 and there):
        step = step or max(there)
        return step, there[step]
    kept = ", ".join(map(str, sorted(there))) or "none"
    raise UserError(
        f"branch.run: {path} keeps no whole checkpoint{f' at step {step}' if step else ''} (kept: {kept}); choose"
        " branch.step among them, or train the trunk with checkpoint.every_steps=N checkpoint.keep=100"
        " checkpoint.keep_finished=true"
    )


def _differing(config: TrainConfig, corpora: Corpora, base: Base, facts: dict) -> list[str]:
    """Names of what must be one in both runs and is not."""
    theirs, hashes = facts["config"], {}
    for name, splits in corpora.corpora.items():
        hashes[name] = {split: corpus.content_hash for split, corpus in splits.items()}
    pairs: dict[str, tuple[Any, Any]] = {
        f.name: (plain(getattr(config, f.name)), theirs.get(f.name)) for f in fields(config) if f.name not in FREE
    }
    pairs |= {f"data.{name}": (getattr(config.data, name), theirs["data"].get(name)) for name in OF_DATA}
    pairs["data.sequence_length"] = config.data.sequence_length, facts["sequence_length"]
    pairs["tokenizer"] = corpora.tokenizer_hash, facts["tokenizer_hash"]
    pairs["corpora"] = (
        hashes,
        {
            name: {split: each["content_hash"] for split, each in splits.items()}
            for name, splits in facts["corpora"].items()
        },
    )
    pairs["the base's weights"] = base.weights_sha256, facts["base"]["weights_sha256"]
    if not base.weights_sha256:
        pairs["model"] = plain(config.model), theirs["model"]
    pairs["evaluation.rows"] = config.evaluation.rows, theirs["evaluation"]["rows"]
    return [name for name, (mine, other) in pairs.items() if canonical_json(mine) != canonical_json(other)]


def _refuse_other_rates(config: TrainConfig, trunk: Trunk) -> None:
    """UserError unless both runs have one LR up to where they part: only then are the areas those of this schedule."""
    facts = trunk.facts
    schedule = schedule_of(facts["schedule"], f"run {facts['run_id']}: schedule")
    theirs = learning_rates(schedule, facts["peak_lr"], facts["tokens_per_step"], facts["tokens_total"])[: trunk.step]
    mine = learning_rates(
        config.lr_schedule, config.optimizer.peak_lr, config.tokens_per_step, config.tokens_total
    )[: trunk.step]  # fmt: skip
    wrong = np.flatnonzero(np.abs(theirs - mine) > 1e-9 * np.abs(theirs))
    if len(wrong):
        first = int(wrong[0])
        raise UserError(
            f"branch.run: up to step {trunk.step} the trunk must have this run's LR, but at step {first + 1} it had"
            f" {theirs[first]:.4g} and lr_schedule gives {mine[first]:.4g}; leave it at step {first} or before, or give"
            " lr_schedule the trunk's warm-up and constant part"
        )


def refuse_other_order(config: TrainConfig, stream: TokenStream) -> None:
    """UserError for a mixture or replay that depends on the length of the run: the trunk's batches were others."""
    u = np.linspace(0, 1, 101)
    mixture, replay = config.mixture, config.replay
    planned = min(mixture.planned_at_start(stream.steps), replay.planned_at_start(stream.steps))
    if (
        planned < stream.steps
        or mixture.row_sets(stream.names, config.data.general)
        or np.ptp(mixture.weights(u, stream.names, config.data.general), axis=0).any()
        or np.ptp(replay.share(u))
    ):
        raise UserError(
            f"branch.run: mixture={mixture.variant_name} with replay={replay.variant_name} changes along the run, so a"  # type: ignore[attr-defined]
            " trunk of another length had other batches; branch with shares that stay (mixture=static, replay=fixed)"
        )
