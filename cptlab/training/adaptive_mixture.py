"""The callback of a mixture that learns: measures, decides, records, plans the steps until the next decision.

Each decision is one line of `runs/<run_id>/mixture.jsonl`. An attempt that finds lines there plans them before it
starts, measures nothing for them, and decides only what no attempt before it has decided: the same run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.adaptive import AdaptiveMixture, Evidence
from cptlab.training.evaluate import measure
from cptlab.training.module import CPTModule, NotFiniteError
from cptlab.training.segments import Segments

if TYPE_CHECKING:
    from cptlab.records.run import RunFolder
    from cptlab.training.recorder import Recorder

ARRAYS = ("weights", "rows", "before", "now")  # of Evidence


class Steering(L.Callback):
    """Decides after the steps of `mixture.decision_steps`, from losses of the `valid` split alone."""

    def __init__(self, mixture: AdaptiveMixture, segments: Segments, recorder: Recorder) -> None:
        self.mixture, self.segments, self.stream, self.recorder = mixture, segments, segments.stream, recorder
        self.file = recorder.folder.path / "mixture.jsonl"
        self.names = tuple(corpus.name for corpus in self.stream.corpora)
        self.marks = mixture.decision_steps(self.stream.steps)
        self.shares = mixture.start(self.names)  # in force where the plan ends
        self.history: list[Evidence] = []
        self.first = np.full(len(self.names), np.nan)  # valid losses before the first update
        for line in read_decisions(self.file, mend=recorder.folder.writes):
            self._take(line)

    def on_train_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """The losses that the first decision compares with."""
        if self.marks and not self.history and pl_module.step == 0:
            self.first = self._losses(pl_module, 0)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: CPTModule,
        outputs: object,
        batch: Mapping,
        batch_idx: int,
    ) -> None:
        """A decision, where one is due that no earlier attempt made."""
        step = pl_module.step
        if step == self.segments.next_mark("mixture"):
            evidence = self._evidence(step, self._losses(pl_module, step))
            line = as_line(evidence, self.mixture.decide([*self.history, evidence]))
            append_line(self.recorder.folder, self.file, line)
            self._take(line)
            self.recorder.progress.decided(step, dict(zip(self.names, self.shares, strict=True)))

    def state_dict(self) -> dict[str, Any]:
        """Every decision so far: what a checkpoint must hold of the mixture."""
        past = zip(self.history, self._decided(), strict=True)
        return {"decisions": [as_line(evidence, shares) for evidence, shares in past], "first": self.first.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Decisions of a checkpoint that the record lacks, as in a copy of the checkpoint alone."""
        self.first = np.array(state_dict["first"], dtype=np.float64)
        for line in state_dict["decisions"][len(self.history) :]:
            append_line(self.recorder.folder, self.file, line)
            self._take(line)

    def _decided(self) -> list[np.ndarray]:
        return [*(evidence.weights for evidence in self.history[1:]), self.shares][: len(self.history)]

    def _take(self, line: Mapping) -> None:
        """Plan what a line decides. UserError for a line that is not of this run."""
        due = self.segments.next_mark("mixture")
        if line["step"] != due or tuple(line["corpora"]) != self.names:
            raise UserError(
                f"{self.file} has a decision for {', '.join(line['corpora'])} at step {line['step']} where one for"
                f" {', '.join(self.names)} at {due} belongs; move the file away to decide anew"
            )
        self.history.append(from_line(line))
        shares = self.shares = np.array(line["decided"], dtype=np.float64)
        self.segments.decided("mixture", line["step"], lambda u: np.tile(shares, (len(u), 1)))

    def _evidence(self, step: int, losses: np.ndarray) -> Evidence:
        last = self.history[-1] if self.history else None
        drawn = [self.stream.tokens_by_corpus(at) for at in (last.step if last else 0, step)]
        tokens = np.array([drawn[1][name] - drawn[0][name] for name in self.names], dtype=np.float64)
        return Evidence(
            step=step, u=step / self.stream.steps, corpora=self.names, weights=self.shares,
            rows=tokens / self.stream.sequence_length, before=last.now if last else self.first, now=losses,
        )  # fmt: skip

    def _losses(self, module: CPTModule, step: int) -> np.ndarray:
        """(num_corpora,) valid losses [nat/token]."""
        rows = self.recorder.batch_rows
        batches = [self.recorder.batches[name, "valid"] for name in self.names]
        measured = [measure(module, batch, self.recorder.token_bytes, rows) for batch in batches]
        losses = np.array([each.loss_sum / each.num_tokens for each in measured])
        if not np.isfinite(losses).all():
            raise NotFiniteError(
                f"a valid loss is no number at step {step}: {dict(zip(self.names, losses, strict=True))}"
            )
        return losses


def as_line(evidence: Evidence, decided: np.ndarray) -> dict:
    """Plain JSON of a decision; floats keep every digit."""
    if not (np.isfinite(decided).all() and (decided >= 0).all() and abs(decided.sum() - 1) < 1e-9):
        raise ValueError(f"decided shares {decided.tolist()} are no shares")
    plain = {key: value.tolist() if key in ARRAYS else value for key, value in asdict(evidence).items()}
    return plain | {"decided": decided.tolist()}


def from_line(line: Mapping) -> Evidence:
    """The evidence of a recorded decision."""
    plain = {key: value for key, value in line.items() if key != "decided"}
    arrays = {key: np.array(plain[key], dtype=np.float64) for key in ARRAYS}
    return Evidence(**{**plain, **arrays, "corpora": tuple(plain["corpora"])})


def read_decisions(file: Path, mend: bool = False) -> list[dict]:
    """Lines of mixture.jsonl, none where there is no file, without a last one cut by a crash.

    mend: remove that one from the file too, for the process that will append to it.
    """
    if not file.exists():
        return []
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if mend and whole != text:
        with file.open("r+b") as handle:
            handle.truncate(len(whole))
    return [json.loads(line) for line in whole.decode("utf8").splitlines()]


def append_line(folder: RunFolder, file: Path, line: dict) -> None:
    """Append a decision and force it to the disk before a step is trained on it, once for all processes."""
    if not folder.writes:
        return
    with file.open("a", encoding="utf8") as handle:
        handle.write(json.dumps(line) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
