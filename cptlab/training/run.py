"""Train one point and record it: the heart of train.py."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.data.corpus import Corpora, prepare
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.models.base import Base
from cptlab.records.run import FAILED, FINISHED, INTERRUPTED, RunFolder
from cptlab.training.checkpoint.disk import predict, refuse_small_disk
from cptlab.training.checkpoint.folder import remove_all
from cptlab.training.facts import gather_facts, identify
from cptlab.training.parallel.ranks import is_first_process
from cptlab.training.tracking import NoTracking

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.training.attention import Choice
    from cptlab.training.checkpoint.signals import Stop
    from cptlab.training.machine import Machine


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
    corpora = prepare(config.data, str(weights) if weights else None, config.selection)
    if weights and config.data.tokenizer != "auto":
        check_tokenizer(corpora, weights)
    stream = TokenStream.plan(
        {name: splits["train"] for name, splits in corpora.corpora.items()}, config.mixture, config.replay,
        general=config.data.general, steps=config.steps, rows_per_step=config.rows_per_step,
        sequence_length=config.data.sequence_length, eos_id=corpora.eos_id, seed=config.seed,
        vocab_size=corpora.vocab_size, packing=config.data.packing, max_epochs=config.data.max_epochs,
        on_max_epochs=config.data.on_max_epochs,
    )  # fmt: skip
    folder = RunFolder(Path(config.runs) / identify(config, corpora, base), writes=is_first_process())
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
    from cptlab.training.checkpoint.signals import Stop

    with Stop() as stop:
        return _train(point, overrides, quiet, stop)


def _train(point: Point, overrides: list[str], quiet: bool, stop: Stop) -> Outcome:
    from cptlab.adapters.base import count_trainable
    from cptlab.models.base import count_params
    from cptlab.training.checkpoint.callback import Checkpointing
    from cptlab.training.checkpoint.load import find_resume
    from cptlab.training.progress import Progress
    from cptlab.training.recorder import Recorder
    from cptlab.training.trainer import fit_steps

    silence_libraries()
    config, stream, folder = point.config, point.stream, point.folder
    prepare_torch(config)
    started = time.monotonic()
    model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, config.seed).train()
    attention = attention_of(config.machine, model, config.data.sequence_length)
    params = count_params(model)  # of the model that a law is about: adapters are not part of N
    model = config.adapter.apply(model)
    facts = gather_facts(
        config, overrides, point.corpora, point.base, point.run_id, (*params, count_trainable(model)[0]), attention.name
    )
    for name, packed in stream.packing().items():
        facts.corpora[name]["train"]["packing"] = packed
    if not folder.writes:
        config.tracking, quiet = NoTracking(), True
    progress = Progress(point.run_id, stream.steps, stream.tokens_per_step, quiet, folder.writes)
    refuse_small_disk(folder.path, predict(config, facts.num_params_total, count_trainable(model)[0]))
    resume = find_resume(folder.path, facts, config.checkpoint.allow_other_resolution, progress.note)
    config.tracking.start(asdict(facts), folder.path)
    folder.begin(facts)
    recorder = Recorder(config, point.corpora, stream, folder, progress)
    checkpointing = Checkpointing(config.checkpoint, folder, facts, stream, resume, stop, progress.note)
    status, reason, weights, throughput = FINISHED, "", "", {}
    ended: BaseException | None = None
    try:
        throughput = fit_steps(config, model, attention, stream, recorder, checkpointing)
        if checkpointing.ended:
            status, reason = INTERRUPTED, f"{stop.name}; goes on from {checkpointing.kept}"
        elif config.save_model and folder.writes:
            weights = save_model(config.adapter.merged(model), point, folder)
    except (KeyboardInterrupt, SystemExit) as error:
        status, reason, ended = INTERRUPTED, f"{stop.name or 'stopped'} before the first step", error
    except Exception as error:  # noqa: BLE001 - the record says why, and the grid goes on
        status, reason = FAILED, f"{' '.join(str(error).split())[:300] or type(error).__name__}"
    progress.close()
    seconds = time.monotonic() - started
    attempt = {name: getattr(facts, name) for name in ("git_sha", "dirty", "versions", "hardware", "started")}
    attempt |= {"resolved": facts.resolved, "world_size": facts.world_size, "from_step": resume.step}
    folder.end(
        status,
        reason,
        seconds,
        losses=recorder.losses,
        weights_sha256=weights,
        throughput=throughput,
        of_attempt=attempt,
    )
    if status == FINISHED and folder.writes and not config.checkpoint.keep_finished:
        remove_all(folder.path)
    config.tracking.finish(folder.done() or {})
    if status != FINISHED or config.machine.world_size == 1:  # several processes that have finished end alike
        leave(stop, ended, folder.writes)
    return Outcome(point.run_id, folder.path, status, reason, recorder.losses, seconds)


def attention_of(machine: Machine, model: PreTrainedModel, sequence_length: int) -> Choice:
    """The attention that the machine asks for, installed. UserError unless it keeps documents apart."""
    from cptlab.training.attention import choose, install, refuse_leaking_documents

    device = "cuda" if machine.accelerator == "gpu" else "cpu"
    choice = choose(machine.attention, device, machine.resolved_precision, model.config.model_type)
    install(model, choice, sequence_length)
    refuse_leaking_documents(model, choice)
    return choice


def leave(stop: Stop, ended: BaseException | None, first: bool) -> None:
    """End the process if it was asked to; of several the first one says how, with its exit code."""
    if stop.signum and not first:
        raise SystemExit(0)
    if isinstance(ended, SystemExit) and ended.code != 1:  # 1: how Lightning passes on a Ctrl-C
        raise ended
    if ended:
        raise KeyboardInterrupt
    if stop.signum:
        stop.leave()


def prepare_torch(config: TrainConfig) -> None:
    """Threads, determinism and seed. UserError for an accelerator that is not there."""
    import torch

    if config.machine.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("machine.accelerator is gpu but torch sees none; use machine=cpu_1 or install a CUDA torch")
    torch.set_num_threads(config.machine.threads)
    torch.use_deterministic_algorithms(True, warn_only=config.machine.accelerator != "cpu")
    torch.manual_seed(config.seed)


def silence_libraries() -> None:
    """Lightning's banners and transformers' progress bars would break the lines of a grid."""
    import logging

    from transformers.utils import logging as transformers_logging

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()


def save_model(model: PreTrainedModel, point: Point, folder: RunFolder) -> str:
    """Weights (safetensors), configuration and tokenizer in `<run>/model`; returns the weights' SHA-256."""
    import shutil

    from cptlab.models.base import weights_sha256

    target = folder.path / "model"
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target, safe_serialization=True)
    for file in Path(point.corpora.tokenizer_path).iterdir():
        shutil.copyfile(file, target / file.name)
    return weights_sha256(target)
