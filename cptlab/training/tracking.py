"""Trackers mirror the record to another place; the record in `runs/` stays the primary one."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cptlab.errors import UserError, closest
from cptlab.records.flat_rows import flat
from cptlab.records.law_summary import law_summary
from cptlab.records.run import ENDING, FINISHED, EvalRow
from cptlab.records.run_folders import load_run
from cptlab.records.wandb_address import why_silent
from cptlab.variants import variant

MODES = ("online", "offline")
SENDING = 120  # [s] for what is left to send at the end


@dataclass(kw_only=True)
class Tracking(ABC):
    """Told of the start, of every evaluation and of the end of a run."""

    @abstractmethod
    def start(self, facts: dict, folder: Path) -> None:
        """A run begins; facts is its run.json."""

    @abstractmethod
    def log(self, rows: list[EvalRow]) -> None:
        """The rows of one evaluation, which are in the record already."""

    @abstractmethod
    def finish(self, done: dict) -> None:
        """The run is over; done is its done.json."""


@variant("tracking", "none")
@dataclass(kw_only=True)
class NoTracking(Tracking):
    """Nothing is sent anywhere."""

    def start(self, facts: dict, folder: Path) -> None:
        """Nothing."""

    def log(self, rows: list[EvalRow]) -> None:
        """Nothing."""

    def finish(self, done: dict) -> None:
        """Nothing."""


@variant("tracking", "wandb")
@dataclass(kw_only=True)
class WandB(Tracking):
    """Weights & Biases: run.json as its config, evaluations as its history, the end as its summary.

    Nothing is lost, so that `source=wandb` reads the same table back. `mode=offline` needs no network and is sent
    later with `wandb sync`; so is a run whose server does not answer. Sweep and group stay with it.
    """

    project: str = "cptlab"
    mode: str = "online"  # online or offline
    folder: str = "runs"  # the W&B files go to <folder>/wandb
    run_group: str = ""  # of runs on W&B's pages; empty: WANDB_RUN_GROUP, or none
    _run: Any = field(default=None, init=False, repr=False, metadata={"omegaconf_ignore": True})
    _record: Any = field(default=None, init=False, repr=False, metadata={"omegaconf_ignore": True})
    _caught_up: bool = field(default=False, init=False, repr=False, metadata={"omegaconf_ignore": True})

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"tracking.mode is {self.mode}.{closest(self.mode, MODES)}")

    def start(self, facts: dict, folder: Path) -> None:
        """One W&B run a run_id; an attempt after a crash is a new W&B run of the same name."""
        import wandb
        import wandb.errors

        self._record = folder
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        if os.environ.get("WANDB_SWEEP_ID"):  # beside it W&B takes the project from the environment alone
            os.environ.setdefault("WANDB_PROJECT", self.project)
        why = why_silent(wandb.setup().settings.base_url) if self.mode == "online" else ""
        try:
            try:
                self._run = self._init(facts, "offline" if why else self.mode)
            except wandb.errors.CommError as error:
                why = why or _short(error)
                self._run = self._init(facts, "offline")
        except wandb.errors.Error as error:
            raise UserError(
                f"tracking=wandb could not start ({_short(error)}); log in, or use tracking.mode=offline"
            ) from error
        if why:
            kept = self._run.settings.sync_dir
            _say(f"W&B does not answer ({why}): this run is kept offline; `wandb sync {kept}` sends it")
        self._run.define_metric("tokens_seen")
        self._run.define_metric("loss/*", step_metric="tokens_seen")  # curves over tokens, one a corpus and split

    def _init(self, facts: dict, mode: str) -> Any:
        import wandb

        return wandb.init(
            project=self.project, group=self.run_group or None, mode=mode, dir=self.folder, name=facts["run_id"],  # pyright: ignore
            config=facts, settings=wandb.Settings(
                silent=True, console="off", finish_timeout=SENDING, finish_timeout_raises=True
            ),
        )  # fmt: skip

    def log(self, rows: list[EvalRow]) -> None:
        """Into the history; the summary then holds the last evaluation.

        A run that goes on first repeats what earlier attempts evaluated: a killed one may not have sent it.
        """
        if not self._caught_up and rows[0].attempt > 1:
            earlier = [row for row in load_run(self._record).rows if row["attempt"] < rows[0].attempt]
            for step in sorted({row["step"] for row in earlier} - {rows[0].step}):
                self._run.log(flat(EvalRow(**row) for row in earlier if row["step"] == step))
        self._caught_up = True
        self._run.log(flat(rows))

    def finish(self, done: dict) -> None:
        """How it ended, the final losses and the columns that laws read into the summary."""
        final = {f"final/{name}": loss for name, loss in done.get("losses", {}).items()}
        laws = law_summary(load_run(self._record)) if done["status"] == FINISHED else {}
        self._run.summary.update(final | laws | {name: done.get(name) for name in ENDING})
        try:
            self._run.finish(exit_code=int(done["status"] != FINISHED))
        except TimeoutError:
            kept = self._run.settings.sync_dir
            _say(
                f"W&B did not take all of this run in {SENDING} s: `wandb sync --no-skip-online {kept}` sends the rest"
            )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
