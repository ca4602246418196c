"""The Lightning callbacks that restore, save when it is due, and end a run that was asked to stop.

After the last step a checkpoint is always written, before the last rows are: whatever ends the process from then on,
the next attempt trains nothing, it only finishes writing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import lightning as L

from cptlab.records.run import read_rows
from cptlab.training.checkpoint.load import Resume, restore
from cptlab.training.checkpoint.resolution import resolution
from cptlab.training.checkpoint.rng import rng_state, set_rng_state
from cptlab.training.checkpoint.save import write_checkpoint
from cptlab.training.checkpoint.signals import Stop
from cptlab.training.checkpoint.together import Agreement, SaveError, of_all, world
from cptlab.training.module import CPTModule
from cptlab.training.recorder import Recorder

if TYPE_CHECKING:
    from cptlab.config import Checkpoints
    from cptlab.data.stream import TokenStream
    from cptlab.records.run import RunFacts, RunFolder

SAVE, STOP = 1, 2  # what processes ask for; STOP + the signal's number


class LastStep(L.Callback):
    """Comes first of all callbacks: the end of training is kept before it is in the record."""

    def __init__(self, checkpointing: Checkpointing) -> None:
        self.checkpointing = checkpointing

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: CPTModule, outputs: object, batch: object, batch_idx: int
    ) -> None:  # fmt: skip
        """The commit of the training, after its last step."""
        if pl_module.step == self.checkpointing.stream.steps:
            self.checkpointing.save(trainer, pl_module)


class Checkpointing(L.Callback):
    """Comes last of all callbacks: what the others did after a step is part of it; its `first` comes before them.

    facts: None keeps nothing, as a benchmark wants it; say: shows a line, on the process that writes.
    """

    def __init__(
        self, settings: Checkpoints, folder: RunFolder, facts: RunFacts | None, stream: TokenStream, resume: Resume,
        stop: Stop, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.settings, self.folder, self.facts, self.stream = settings, folder, facts, stream
        self.resume, self.stop, self.say = resume, stop, say
        self.run_id, self.saved_step = folder.path.name, resume.step
        self.saved_at = time.monotonic()
        self.agreement: Agreement | None = None
        self.ended = False  # before the last step, because it was asked to
        self.first = LastStep(self)

    def on_fit_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """Weights, optimizer and what other callbacks keep, once the strategy has put them in their place."""
        if self.resume.path is None or self.facts is None:
            return
        content = self.resume.content
        restore(self.resume.path, content, pl_module.network, trainer.optimizers[0])
        pl_module.step = content["step"]
        for callback in self._others(trainer):
            if state := content["callbacks"].get(callback.state_key):
                callback.load_state_dict(state)
        self.stream.load_state_dict(content.get("order", {}))  # now that the decisions before are planned
        if pl_module.step < self.stream.steps:
            self.say(f"{self.run_id} goes on from step {pl_module.step} of {self.stream.steps}")
            return
        self.say(f"{self.run_id} was trained to its end; what was left to write is written")
        trainer.limit_train_batches = 0
        [recorder] = [each for each in self._others(trainer) if isinstance(each, Recorder)]
        write_last_rows(recorder, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """From here on a signal waits for the end of a step."""
        self.agreement = Agreement()
        self.saved_at = time.monotonic()
        self.stop.training = True
        self.stop.take()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: CPTModule, batch: object, batch_idx: int) -> None:
        """The random generators, after everything that draws from them at a start."""
        rng = self.resume.content.get("rng")
        rank, size = world()
        if rng and batch_idx == 0 and len(rng) == size:
            set_rng_state(rng[rank])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: CPTModule, outputs: object, batch: object, batch_idx: int
    ) -> None:  # fmt: skip
        """Save, stop, or nothing; after the last step `first` has saved."""
        step, every = pl_module.step, self.settings.every_steps
        asked = self.agreement.agreed(self._wanted()) if self.agreement else 0
        if step >= self.stream.steps or not (asked or (every and step % every == 0)):
            return
        self.save(trainer, pl_module)
        if asked >= STOP:
            self._end(trainer, pl_module, asked - STOP)

    def on_train_end(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """No process leaves another alone with a question."""
        if self.agreement:
            self.agreement.finish()

    def on_exception(self, trainer: L.Trainer, pl_module: CPTModule, exception: BaseException) -> None:
        """What waited for the end of a step waits no more."""
        self.stop.training = False

    def save(self, trainer: L.Trainer, module: CPTModule) -> None:
        """Write a checkpoint; if it cannot be written, say so: the ones before are as they were."""
        if self.facts is None:
            return
        module.check_pending()  # a step that was not a number is never kept
        content = {
            "run_id": self.run_id, "attempt": self.folder.attempt, "step": module.step,
            "tokens_seen": self.stream.tokens_seen(module.step), **resolution(self.facts), "rng": of_all(rng_state()),
            "order": self.stream.state_dict(min(module.step, self.stream.steps - 1)),
            "callbacks": {each.state_key: state for each in self._others(trainer) if (state := each.state_dict())},
        }  # fmt: skip
        try:
            write_checkpoint(
                self.folder.path, content, module.network, trainer.optimizers[0], self.settings.kind, self.settings.keep
            )
            self.saved_step = module.step
        except SaveError as error:
            self.say(
                f"{self.run_id}: the checkpoint at step {module.step} could not be written ({error});"
                f" {self.kept} is as it was"
            )
        self.saved_at = time.monotonic()

    @property
    def kept(self) -> str:
        """Where the same command goes on from, in words."""
        return f"the one at step {self.saved_step}" if self.saved_step else "the start of the run"

    def _wanted(self) -> int:
        if self.stop.signum:
            return STOP + self.stop.signum
        minutes = self.settings.every_minutes
        return SAVE if minutes and self.folder.writes and time.monotonic() - self.saved_at >= 60 * minutes else 0

    def _end(self, trainer: L.Trainer, module: CPTModule, signum: int) -> None:
        self.stop.signum = signum
        reason = f"{self.stop.name} at step {module.step} of {self.stream.steps}"
        if earlier := self.stop.earlier(signum):
            self.say(f"{self.run_id}: {reason}; saved, the handler that stood before decides")
            earlier(signum, None)
            self.stop.signum = 0
            return
        self.ended = trainer.should_stop = True
        self.say(f"{self.run_id}: {reason}; the same command goes on from {self.kept}")

    def _others(self, trainer: L.Trainer) -> list[Any]:
        return [each for each in trainer.callbacks if each not in (self, self.first)]  # type: ignore[attr-defined]


def write_last_rows(recorder: Recorder, module: CPTModule) -> None:
    """Measure after the last step, unless an attempt before has written every row of it. Every process calls it."""
    recorder.begin()  # this attempt may write
    recorder.progress.resumed(module.step)
    rows = [row for row in read_rows(recorder.folder.path) if row["step"] == module.step]
    if of_all({(row["domain"], row["split"]) for row in rows} == set(recorder.batches))[0]:
        recorder.losses = {row["domain"]: row["loss_sum"] / row["num_tokens"] for row in rows if row["split"] == "fit"}
        for _ in recorder.batches:  # averaged weights are rounded each time they are put in place: as often as ever
            with module.evaluating():
                pass
    else:
        recorder.record(module, module.step)
