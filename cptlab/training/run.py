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
from cptlab.training.facts import gather_facts, identify
from cptlab.training.parallel.fp8 import check_fp8
from cptlab.training.parallel.launch import check_processes, check_started_point, leave_note, must_start, stays_quiet
from cptlab.training.parallel.ranks import is_first_process
from cptlab.training.tracking import NoTracking

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.training.attention import Choice
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
    check_processes(config.machine, config.rows_per_step)
    check_fp8(config.machine)
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
    if must_start(config.machine):
        return _started(point, overrides, quiet)
    check_started_point(point.run_id)
    return _train(point, overrides, quiet)


def _started(point: Point, overrides: list[str], quiet: bool) -> Outcome:
    """The outcome of the processes that train the point; the first of them has recorded it."""
    from cptlab.training.parallel.launch import start_processes

    folder, started = point.folder, time.monotonic()
    before = folder.done()
    code, reason = start_processes(point.config.machine, overrides, point.run_id, quiet)
    seconds = time.monotonic() - started
    done: dict = folder.done() or {}
    if done == (before or {}):  # they died before they could say so
        done = {"status": FAILED, "reason": reason}
        if folder.path.exists():
            folder.end(FAILED, reason, seconds)
    if done.get("status") == INTERRUPTED:
        raise SystemExit(code)
    return Outcome(
        point.run_id, point.folder.path, done.get("status", FAILED), done.get("reason", reason),
        done.get("losses", {}), seconds,
    )  # fmt: skip


def _build(point: Point) -> PreTrainedModel:
    """The model on the CPU, or without memory where each process will read its shards from the files."""
    from cptlab.training.parallel.strategy import is_sharded

    config, vocab_size = point.config, point.corpora.vocab_size
    folder = config.model.folder()
    if folder is not None and is_sharded(config.machine) and not config.adapter.identity():
        from cptlab.training.parallel.streaming import build_on_meta

        return build_on_meta(folder, vocab_size, config.data.sequence_length)
    return _build_whole(point)


def _build_whole(point: Point) -> PreTrainedModel:
    config = point.config
    return config.model.build(point.corpora.vocab_size, config.data.sequence_length, config.seed)


def _train(point: Point, overrides: list[str], quiet: bool) -> Outcome:
    from cptlab.adapters.base import count_trainable
    from cptlab.models.base import count_params
    from cptlab.training.parallel.memory import is_out_of_memory, out_of_memory
    from cptlab.training.progress import Progress
    from cptlab.training.recorder import Recorder
    from cptlab.training.trainer import fit_steps

    silence_libraries()
    config, stream, folder = point.config, point.stream, point.folder
    prepare_torch(config)
    started = time.monotonic()
    model = _build(point).train()
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
    quiet = quiet or stays_quiet()
    config.tracking.start(asdict(facts), folder.path)
    folder.begin(facts)
    progress = Progress(point.run_id, stream.steps, stream.tokens_per_step, quiet)
    recorder = Recorder(config, point.corpora, stream, folder, progress)
    status, reason, weights, throughput = FINISHED, "", "", {}
    try:
        throughput = fit_steps(config, model, attention, stream, recorder)
        if config.save_model:
            weights = save_model(model, point, folder)
    except (KeyboardInterrupt, SystemExit):
        status, reason = INTERRUPTED, "stopped by the user"
    except Exception as error:  # noqa: BLE001 - the record says why, and the grid goes on
        reason = f"{' '.join(str(error).split())[:300] or type(error).__name__}"
        if is_out_of_memory(error):
            reason = out_of_memory(config, params[1], model.config)
        status = FAILED
        leave_note(reason)
    progress.close()
    seconds = time.monotonic() - started
    attempt = {name: getattr(facts, name) for name in ("git_sha", "dirty", "versions", "hardware", "started")}
    folder.end(
        status,
        reason,
        seconds,
        losses=recorder.losses,
        weights_sha256=weights,
        throughput=throughput,
        of_attempt=attempt,
    )
    config.tracking.finish(folder.done() or {})
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return Outcome(point.run_id, folder.path, status, reason, recorder.losses, seconds)


def attention_of(machine: Machine, model: PreTrainedModel, sequence_length: int) -> Choice:
    """The attention that the machine asks for, installed. UserError unless it keeps documents apart."""
    from cptlab.training.attention import choose, install, refuse_leaking_documents

    device = "cuda" if machine.accelerator == "gpu" else "cpu"
    choice = choose(machine.attention, device, machine.resolved_precision, model.config.model_type)
    install(model, choice, sequence_length)
    refuse_leaking_documents(model, choice)
    return choice


def prepare_torch(config: TrainConfig) -> None:
    """Threads, determinism and seed. UserError for an accelerator that is not there."""
    import torch

    if config.machine.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("machine.accelerator is gpu but torch sees none; use machine=cpu_1 or install a CUDA torch")
    if config.machine.accelerator == "gpu" and torch.cuda.device_count() < config.machine.devices:
        raise UserError(
            f"machine.devices is {config.machine.devices} but torch sees {torch.cuda.device_count()} GPUs; set"
            " machine.devices to what is here"
        )
    torch.set_num_threads(config.machine.threads)
    torch.use_deterministic_algorithms(True, warn_only=config.machine.accelerator != "cpu")
    torch.manual_seed(config.seed)


def silence_libraries() -> None:
    """Lightning's banners and transformers' progress bars would break the lines of a grid."""
    import logging

    from transformers.utils import logging as transformers_logging

    for library in ("lightning.pytorch", "lightning.fabric", "torch.distributed.tensor._redistribute"):
        logging.getLogger(library).setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()


def save_model(model: PreTrainedModel, point: Point, folder: RunFolder) -> str:
    """Weights (safetensors), configuration and tokenizer in `<run>/model`; returns the weights' SHA-256.

    Every process calls: shards are gathered from all. "" on those that write nothing.
    """
    import shutil

    from cptlab.models.base import weights_sha256
    from cptlab.training.parallel.gather import has_shards, save_whole, unsharded

    target = folder.path / "model"
    if folder.writes:
        shutil.rmtree(target, ignore_errors=True)
    adapted = bool(point.config.adapter.identity())
    if has_shards(model) and not adapted:
        save_whole(model, target, folder.writes)
    else:
        whole = unsharded(model, lambda: point.config.adapter.apply(_build_whole(point)), folder.writes)
        if whole is not None:
            point.config.adapter.merged(whole).save_pretrained(target, safe_serialization=True)
    if not folder.writes:
        return ""
    for file in Path(point.corpora.tokenizer_path).iterdir():
        shutil.copyfile(file, target / file.name)
    return weights_sha256(target)
