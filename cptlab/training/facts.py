"""The facts of a run: its identity and where it ran."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.corpus import Corpora
from cptlab.models.base import Base
from cptlab.records.identity import run_id
from cptlab.records.run import RunFacts

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.attention import Choice
    from cptlab.training.point import Point

PACKAGES = ("cptlab", "torch", "lightning", "transformers", "tokenizers", "numpy", "hydra-core",
            "peft", "bitsandbytes", "torchao", "schedulefree", "galore-torch")  # fmt: skip
VARIANT_GROUPS = ("mixture", "replay", "lr_schedule", "objective", "optimizer")


def described(variant: Any) -> dict:
    """Name and fields of a variant."""
    return {"variant": variant.variant_name} | {f.name: getattr(variant, f.name) for f in fields(variant) if f.init}


def identify(config: TrainConfig, corpora: Corpora, base: Base, branch: dict | None = None) -> str:
    """run_id of a configuration: corpora and base enter by content, paths and threads do not."""
    return run_id(
        {group: described(getattr(config, group)) for group in VARIANT_GROUPS}
        | {
            "mixture": described(config.mixture) | config.mixture.identity(),
            "lr_schedule": config.lr_schedule.identity(),
            "replay": {name: value for name, value in described(config.replay).items() if name != "offload"},
            "optimizer": config.optimizer.identity(),
            "model": config.model.identity(),
            "base": {"weights_sha256": base.weights_sha256, "step": base.step},
            "machine": config.machine.identity(),
            "evaluation": {"rows": config.evaluation.rows, "points": config.evaluation.points,
                           "spacing": config.evaluation.spacing},
            "corpora": {name: {split: corpus.content_hash for split, corpus in splits.items()}
                        for name, splits in corpora.corpora.items()},
            "general": config.data.general,
            "tokenizer_hash": corpora.tokenizer_hash,
            "sequence_length": config.data.sequence_length,
            "tokens_total": config.tokens_total,
            "rows_per_step": config.rows_per_step,
            "seed": config.seed,
        }
        | row_choices(config)
        | ({"branch": branch} if branch else {})
        | ({"stage": of_stage(config, base)} if config.stage.follows else {})
    )  # fmt: skip


def of_stage(config: TrainConfig, base: Base) -> dict:
    """Which run this one goes on from, and what it takes of it."""
    stage = config.stage
    buffer = {"buffer": stage.buffer} if config.replay.from_buffer else {}
    return {"run_id": base.run_id, "optimizer": stage.optimizer} | buffer


def row_choices(config: TrainConfig) -> dict:
    """What changes the rows of a run, left out where it is as it always was: older run_ids stay."""
    data, chosen = config.data, {}
    if data.packing != "concat":
        chosen["packing"] = data.packing
    if data.max_epochs is not None and data.on_max_epochs == "cap":
        chosen["max_epochs"] = data.max_epochs
    if adapter := config.adapter.identity():
        chosen["adapter"] = adapter
    if regularizer := config.regularizer.identity(config.model.folder()):
        chosen["regularizer"] = regularizer
    if sparsity := config.sparsity.identity():
        chosen["sparsity"] = sparsity
    if vocab := config.vocab.identity():
        chosen["vocab"] = vocab
    return chosen


def gather_facts(
    config: TrainConfig,
    overrides: list[str],
    corpora: Corpora,
    base: Base,
    identity: str,
    params: tuple[int, int, int],
    attention: str = "sdpa",
    attention_why: str = "",
) -> RunFacts:
    """run.json of a run that starts now."""
    others = [name for name in corpora.corpora if name != config.data.general]
    sha, dirty = git_state()
    return RunFacts(
        run_id=identity,
        config={f.name: plain(getattr(config, f.name)) for f in fields(config)},
        overrides=overrides,
        num_params_nonembed=params[0],
        num_params_total=params[1],
        num_params_trainable=params[2],
        tokens_total=config.tokens_total,
        tokens_per_step=config.tokens_per_step,
        steps_total=config.steps,
        sequence_length=config.data.sequence_length,
        base=asdict(base),
        tokenizer_hash=corpora.tokenizer_hash,
        corpora={
            name: {split: {key: getattr(corpus, key) for key in
                           ("content_hash", "num_tokens", "num_bytes", "num_documents")}
                   for split, corpus in splits.items()}
            for name, splits in corpora.corpora.items()
        },
        general=config.data.general,
        domain=others[0] if len(others) == 1 else "",
        seed=config.seed,
        peak_lr=config.optimizer.peak_lr,
        schedule=config.lr_schedule.identity(),
        lr_is_constant_after_warmup=config.lr_schedule.is_constant,
        warmup_tokens=config.lr_schedule.warmup_tokens,
        resolved={"attention": attention, "precision": config.machine.resolved_precision,
                  "attention_why": attention_why},
        world_size=config.machine.world_size,
        git_sha=sha,
        dirty=dirty,
        versions=versions(),
        hardware={"machine": platform.machine(), "system": platform.system(), "host": platform.node()},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        sweep=os.environ.get("WANDB_SWEEP_ID", ""),
    )  # fmt: skip


def facts_of(point: Point, overrides: list[str], params: tuple[int, int, int], attention: Choice) -> RunFacts:
    """run.json of a point, with its trunk and its packing. params: (without embeddings, all, trained)."""
    facts = gather_facts(
        point.config, overrides, point.corpora, point.base, point.run_id, params, attention.name, attention.why
    )
    if point.trunk:
        facts = replace(facts, branch=point.trunk.of_branch())
    for name, packed in point.stream.packing().items():
        facts.corpora[name]["train"]["packing"] = packed
    return facts


def of_attempt(facts: RunFacts, from_step: int) -> dict[str, Any]:
    """What `done.json` keeps of the attempt that wrote it, since run.json is that of the first one."""
    own = {name: getattr(facts, name) for name in ("git_sha", "dirty", "versions", "hardware", "started")}
    return own | {"resolved": facts.resolved, "world_size": facts.world_size, "from_step": from_step}


def plain(value: Any) -> Any:
    """A variant or a part of the configuration as it stands in the record."""
    if hasattr(value, "variant_name"):
        return described(value)
    return {f.name: getattr(value, f.name) for f in fields(value)} if hasattr(value, "__dataclass_fields__") else value


def versions() -> dict[str, str]:
    """Of Python and of the packages that touch the numbers, where they are installed."""
    found = {name: installed(name) for name in PACKAGES}
    return {name: number for name, number in found.items() if number} | {"python": platform.python_version()}


def installed(name: str) -> str:
    """Version of an installed package, "" if it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def git_state() -> tuple[str, bool]:
    """(commit of the source tree, whether tracked files differ from it); ("", False) outside a repository."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    return git("rev-parse", "HEAD") or "", bool(git("status", "--porcelain", "--untracked-files=no"))
