"""Trackers mirror the record to another place; the record in `runs/` stays the primary one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from cptlab.errors import UserError, closest
from cptlab.records.flat_rows import flat
from cptlab.records.run import ENDING, FINISHED, EvalRow
from cptlab.variants import variant

MODES = ("online", "offline")


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
    later with `wandb sync`.
    """

    project: str = "cptlab"
    mode: str = "online"  # online or offline
    folder: str = "runs"  # the W&B files go to <folder>/wandb
    _run: object = field(default=None, init=False, repr=False, metadata={"omegaconf_ignore": True})

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"tracking.mode is {self.mode}.{closest(self.mode, MODES)}")

    def start(self, facts: dict, folder: Path) -> None:
        """One W&B run a run_id; an attempt after a crash is a new W&B run of the same name."""
        import wandb
        import wandb.errors

        Path(self.folder).mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=self.project, mode=self.mode, dir=self.folder, name=facts["run_id"], config=facts,  # pyright: ignore
                settings=wandb.Settings(silent=True, console="off"),
            )  # fmt: skip
        except wandb.errors.Error as error:
            why = " ".join(str(error).split())[:160]
            raise UserError(f"tracking=wandb could not start ({why}); log in, or use tracking.mode=offline") from error

    def log(self, rows: list[EvalRow]) -> None:
        """Into the history; the summary then holds the last evaluation."""
        self._run.log(flat(rows))  # type: ignore[attr-defined]

    def finish(self, done: dict) -> None:
        """How it ended and the final losses into the summary."""
        final = {f"final/{name}": loss for name, loss in done.get("losses", {}).items()}
        self._run.summary.update(final | {name: done.get(name) for name in ENDING})  # type: ignore[attr-defined]
        self._run.finish(exit_code=int(done["status"] != FINISHED))  # type: ignore[attr-defined]
