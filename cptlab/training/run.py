"""Train one point and record it: the heart of train.py."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.data.corpus import Corpora, prepare
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.models.base import Base
from cptlab.records.run import FAILED, FINISHED, INTERRUPTED, RunFolder
from cptlab.training.facts import gather_facts, identify

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


@dataclass(frozen=True)
class Outcome:
    """How a point ended. status: finished | failed | skipped; losses: domain -> final loss [nat/token]."""

    run_id: str
    folder: Path
    status: str
    reason: str
    losses: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Point:
    """A configuration with its data and base opened and checked: all that can be refused before training."""

    config: TrainConfig
    corpora: Corpora
    base: Base
    stream: TokenStream
    folder: RunFolder

    @property
    def run_id(self) -> str:
        """Name of the record."""
        return self.folder.path.name


def open_point(config: TrainConfig) -> Point:
    """Open corpora, base and order. UserError for anything that does not fit together; no torch yet."""
    base = config.model.base()
    weights = config.model.folder()
    corpora = prepare(config.data, str(weights) if weights else None)
    if weights and config.data.tokenizer != "auto":
        check_tokenizer(corpora, weights)
    stream = TokenStream.plan(
        {name: splits["train"] for name, splits in corpora.corpora.items()}, config.mixture, config.replay,
        general=config.data.general, steps=config.steps, rows_per_step=config.rows_per_step,
        sequence_length=config.data.sequence_length, eos_id=corpora.eos_id, seed=config.seed,
    )  # fmt: skip
    folder = RunFolder(Path(config.runs) / identify(config, corpora, base))
    return Point(config, corpora, base, stream, folder)


def check_tokenizer(corpora: Corpora, weights: Path) -> None:
    """UserError unless the corpora were cut by the tokenizer that the base was trained with."""
    from cptlab.data.tokenizer import load_tokenizer

    expected = load_tokenizer(str(weights)).hash
    if expected != corpora.tokenizer_hash:
        raise UserError(
            f"data.tokenizer (hash {corpora.tokenizer_hash[:12]}) does not match the base in {weights} (hash"
            f" {expected[:12]}); leave data.tokenizer=auto to use the base's own"
        )


def train_point(config: TrainConfig, overrides: list[str], quiet: bool = False) -> Outcome:
    """Train a point unless its record says that it is finished."""
    point = open_point(config)
    if point.folder.is_finished:
        done = point.folder.done() or {}
        return Outcome(point.run_id, point.folder.path, "skipped", "already finished", done.get("losses", {}), 0.0)
    return _train(point, overrides, quiet)


def _train(point: Point, overrides: list[str], quiet: bool) -> Outcome:
    import lightning as L
    import torch

    from cptlab.models.base import count_params
    from cptlab.training.loader import step_loader
    from cptlab.training.module import CPTModule, NotFiniteError
    from cptlab.training.progress import Progress
    from cptlab.training.recorder import Recorder

    silence_libraries()
    config, stream, folder = point.config, point.stream, point.folder
    torch.set_num_threads(config.machine.threads)
    torch.use_deterministic_algorithms(True, warn_only=config.machine.accelerator != "cpu")
    torch.manual_seed(config.seed)
    started = time.monotonic()
    model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, config.seed).train()
    facts = gather_facts(config, overrides, point.corpora, point.base, point.run_id, count_params(model))
    module = CPTModule(
        model,
        config.objective,
        config.optimizer,
        config.lr_schedule,
        stream.tokens_per_step,
        config.tokens_total,
    )
    progress = Progress(point.run_id, stream.steps, stream.tokens_per_step, quiet)
    folder.begin(facts)
    recorder = Recorder(config, point.corpora, stream, folder, progress)
    config.tracking.start(facts_for_tracking(facts), folder.path)
    with warnings.catch_warnings():
        # One process that makes its own batches needs no workers; Lightning would warn about that.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
        trainer = L.Trainer(
            accelerator=config.machine.accelerator, devices=1, max_steps=stream.steps, max_epochs=-1,
            precision={"fp32": "32-true", "bf16": "bf16-mixed"}[config.machine.resolved_precision],  # type: ignore[arg-type]
            callbacks=[recorder], logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        )  # fmt: skip
        status, reason = FINISHED, ""
        try:
            trainer.fit(module, step_loader(stream))
        except NotFiniteError as error:
            status, reason = FAILED, str(error)
        except (KeyboardInterrupt, SystemExit):
            status, reason = INTERRUPTED, "stopped by the user"
    progress.close()
    seconds = time.monotonic() - started
    weights = save_model(module.model, point, folder) if status == FINISHED and config.save_model else ""
    folder.end(status, reason, seconds, losses=recorder.losses, weights_sha256=weights, steps=trainer.global_step)
    config.tracking.finish({f"final/{name}": loss for name, loss in recorder.losses.items()}, status != FINISHED)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return Outcome(point.run_id, folder.path, status, reason, recorder.losses, seconds)


def silence_libraries() -> None:
    """Lightning's banners and transformers' progress bars would break the lines of a grid."""
    import logging

    from transformers.utils import logging as transformers_logging

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()


def facts_for_tracking(facts: object) -> dict:
    """run.json as a plain dict."""
    from dataclasses import asdict

    return asdict(facts)  # type: ignore[call-overload]


def save_model(model, point: Point, folder: RunFolder) -> str:
    """Weights (safetensors), configuration and tokenizer in `<run>/model`; returns the weights' SHA-256."""
    import shutil

    from cptlab.models.base import weights_sha256

    target = folder.path / "model"
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target, safe_serialization=True)
    for file in Path(point.corpora.tokenizer_path).iterdir():
        shutil.copyfile(file, target / file.name)
    return weights_sha256(target)
