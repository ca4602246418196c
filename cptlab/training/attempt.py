"""One attempt at a point, from its base or its newest checkpoint to the end of its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.records.run import FAILED, FINISHED, INTERRUPTED
from cptlab.training.build import (
    attention_of,
    build_model,
    import_torchmetrics,
    prepare_torch,
    save_model,
    silence_libraries,
)
from cptlab.training.checkpoint.disk import predict, refuse_small_disk
from cptlab.training.checkpoint.folder import remove_all
from cptlab.training.facts import facts_of, of_attempt
from cptlab.training.outcome import REPEATS, Outcome
from cptlab.training.parallel.failure import first_failure, tell_failure
from cptlab.training.parallel.launch import joined_world, stays_quiet, was_started
from cptlab.training.point import Point
from cptlab.training.tracking import NoTracking
from cptlab.training.unbuilt import record_unbuilt

if TYPE_CHECKING:
    from cptlab.records.lock import RunLock
    from cptlab.training.checkpoint.signals import Stop


def attempt(
    point: Point, overrides: list[str], quiet: bool, stop: Stop, lock: RunLock | None = None
) -> Outcome:  # fmt: skip
    """Train on and write the record; ends the process if `stop` was asked for meanwhile. `lock` is told the step."""
    silence_libraries()  # torchao speaks while it is imported
    import_torchmetrics()
    from cptlab.adapters.base import count_trainable
    from cptlab.models.base import count_params
    from cptlab.optimizers.groups import kinds
    from cptlab.training.checkpoint.callback import Checkpointing
    from cptlab.training.checkpoint.load import find_resume
    from cptlab.training.diagnostics.probe import probe_of
    from cptlab.training.module import NotFiniteError
    from cptlab.training.parallel.memory import is_measuring, is_out_of_memory, out_of_memory
    from cptlab.training.progress import Progress
    from cptlab.training.recorder import Recorder
    from cptlab.training.sparse import mean_params
    from cptlab.training.trainer import fit_steps

    silence_libraries()  # Lightning sets its own level then
    config, stream, folder = point.config, point.stream, point.folder
    prepare_torch(config)
    started = time.monotonic()
    try:
        model = build_model(point).train()
        attention = attention_of(config.machine, model, config.data.sequence_length)
        params = count_params(model)  # of the model that a law is about: adapters are not part of N
        model = config.adapter.apply(model)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return record_unbuilt(point, overrides, started)
    facts = facts_of(point, overrides, (*params, count_trainable(model)[0]), attention)
    if not folder.writes:
        config.tracking, quiet = NoTracking(), True
    quiet = quiet or stays_quiet()
    progress = Progress(point.run_id, stream.steps, stream.tokens_per_step, quiet, folder.writes)
    if config.machine.attention == "auto":
        progress.opened(f"attention {attention}")
    if lock:
        lock.watch(progress.place)
    ends = sum(weight.numel() for kind, weight in kinds(model) if kind == "embeddings")
    needed = predict(config, facts.num_params_total, facts.num_params_trainable, ends, point.answers)
    refuse_small_disk(folder.path, needed)
    resume = find_resume(folder.path, facts, config.checkpoint.allow_other_resolution, progress.note)
    leaves_trunk = resume.path is None and point.trunk is not None
    if leaves_trunk and point.trunk:
        resume = point.trunk.resume(facts, config.checkpoint.allow_other_resolution, progress.note)

    def begin_record() -> None:
        config.tracking.start(asdict(facts), folder.path)
        folder.begin(facts)
        if leaves_trunk and point.trunk:
            folder.append(rows := point.trunk.base_rows(folder))
            config.tracking.log(rows)

    begin = Beginning(begin_record)
    recorder = Recorder(config, point.corpora, stream, folder, progress, begin)
    recorder.diagnostics = probe_of(point, recorder)
    recorder.mean_params = mean_params(config, model, params[0])
    checkpointing = Checkpointing(config.checkpoint, folder, facts, stream, resume, stop, progress.note)
    status, reason, weights, throughput, failure = FINISHED, "", "", {}, {}
    ended: BaseException | None = None
    try:
        throughput = fit_steps(config, model, attention, stream, recorder, checkpointing)
        if checkpointing.ended:
            status, reason = INTERRUPTED, f"{stop.name}; goes on from {checkpointing.kept}"
        elif config.save_model:
            weights = save_model(model, point, folder)
    except (KeyboardInterrupt, SystemExit) as error:
        # A handler that stood before ours (submitit's) ends the process after the save.
        where = f"; goes on from {checkpointing.kept}" if checkpointing.saved_step else " before the first step"
        status, reason, ended = INTERRUPTED, f"{stop.name or 'stopped'}{where}", error
    except Exception as error:  # the record says why, and the grid goes on
        if isinstance(error, UserError) and not begin.done:  # refused while it was set up: nothing of it is recorded
            progress.close()
            raise
        reason = f"{' '.join(str(error).split())[:300] or type(error).__name__}"
        if is_out_of_memory(error):
            updated = bool(recorder.losses) or resume.path is not None
            reason = out_of_memory(config, facts, model.config, is_measuring(error), updated)
        status, failure = FAILED, {REPEATS: isinstance(error, NotFiniteError)}
        reason = first_failure(reason, point.run_id)
        tell_failure(reason)
    progress.close()
    if throughput:
        progress.ended(throughput)
    begin()  # a failure before the first step is recorded too
    seconds = time.monotonic() - started
    folder.end(
        status,
        reason,
        seconds,
        losses=recorder.losses,
        weights_sha256=weights,
        throughput=throughput,
        of_attempt=of_attempt(facts, resume.step) | failure,
    )
    if status == FINISHED and folder.writes and not config.checkpoint.keep_finished:
        remove_all(folder.path)
    config.tracking.finish(folder.done() or {})
    if status != FINISHED or config.machine.world_size == 1:  # several processes that have finished end alike
        leave(stop, ended, folder.writes)
    apart = status == FAILED and not failure[REPEATS] and joined_world() > 1 and not was_started()
    return Outcome(point.run_id, folder.path, status, reason, recorder.losses, seconds, apart)


class Beginning:
    """The record and its mirror begun, once; `done` says whether they are."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self.begin, self.done = begin, False

    def __call__(self) -> None:
        """At the first call."""
        if not self.done:
            self.begin()
            self.done = True


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
