"""The callback of replay that learns: measures drift, decides the share, records it, plans the next segment.

As for mixtures, each decision is one line, here of `runs/<run_id>/replay.jsonl`, and an attempt that finds lines there
takes them as they stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import lightning as L
import torch

from cptlab.errors import UserError
from cptlab.optimizers.clipping import gradient_norm
from cptlab.replay.adaptive import AdaptiveReplay, Drift
from cptlab.training.adaptive_mixture import append_line, read_decisions
from cptlab.training.evaluate import measure
from cptlab.training.module import CPTModule, NotFiniteError
from cptlab.training.segments import Segments

if TYPE_CHECKING:
    from cptlab.training.recorder import Recorder


class ReplaySteering(L.Callback):
    """Decides after the steps of `replay.decision_steps`, from the `valid` split and the gradients alone."""

    def __init__(self, replay: AdaptiveReplay, general: str, segments: Segments, recorder: Recorder) -> None:
        self.replay, self.general, self.segments, self.recorder = replay, general, segments, recorder
        self.file = recorder.folder.path / "replay.jsonl"
        self.history: list[Drift] = []
        self.lines: list[dict] = []  # of the file
        self.base: float | None = None  # valid loss of the general corpus before the first update
        self.norms: list[float] = []  # of the gradients since the last decision
        for line in read_decisions(self.file, mend=recorder.folder.writes):
            self._take(line)

    def on_train_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """The loss that every decision compares with."""
        if self.segments.next_mark("replay"):
            if self.history:
                self.base = self.history[0].base_loss
            elif pl_module.step == 0:
                self.base = self._loss(pl_module)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: CPTModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """The global L2 norm of the gradients, before they are clipped."""
        if self.segments.next_mark("replay"):
            self.norms.append(float(gradient_norm(pl_module.parameters())))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: CPTModule, outputs: object, batch: Mapping, batch_idx: int
    ) -> None:  # fmt: skip
        """A decision, where one is due that no earlier attempt made."""
        step = pl_module.step
        due = self.segments.next_mark("replay")
        if due is not None and step == due:
            drift = Drift(
                step=step, u=step / self.segments.stream.steps, general_loss=self._loss(pl_module),
                base_loss=self.base, gradient_norm=sum(self.norms) / len(self.norms),
            )  # fmt: skip
            line = asdict(drift) | {"decided": self.replay.decide([*self.history, drift])}
            append_line(self.recorder.folder, self.file, line)
            self._take(line)
        if any(step == past.step for past in self.history):
            self.norms = []

    def state_dict(self) -> dict[str, Any]:
        """Every decision so far, and the gradients since: what a checkpoint must hold of replay."""
        return {"decisions": self.lines, "norms": self.norms, "base": self.base}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Decisions of a checkpoint that the record lacks, as in a copy of the checkpoint alone."""
        self.norms, self.base = list(state_dict["norms"]), state_dict["base"]
        for line in state_dict["decisions"][len(self.history) :]:
            append_line(self.recorder.folder, self.file, line)
            self._take(line)

    def _take(self, line: Mapping) -> None:
        """Plan what a line decides. UserError for a line that is not of this run."""
        if line["step"] != self.segments.next_mark("replay"):
            raise UserError(
                f"{self.file} has a decision at step {line['step']} where one at {self.segments.next_mark('replay')}"
                " belongs; move the file away to decide anew"
            )
        share = float(line["decided"])
        self.lines.append(dict(line))
        self.history.append(Drift(**{key: value for key, value in line.items() if key != "decided"}))
        self.segments.decided("replay", line["step"], lambda u: 0 * u + share)

    def _loss(self, module: CPTModule) -> float | None:
        """Valid loss of the general corpus [nat/token]; None where the study has none and gradients decide."""
        if not self.general:
            return None
        recorder = self.recorder
        measured = measure(module, recorder.batches[self.general, "valid"], recorder.token_bytes, recorder.batch_rows)
        if not math.isfinite(measured.loss_sum):
            raise NotFiniteError(f"the valid loss of {self.general} is {measured.loss_sum} at step {module.step}")
        return measured.loss_sum / measured.num_tokens
