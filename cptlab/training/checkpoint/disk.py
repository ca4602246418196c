"""How much of the disk a run will take, and whether it is there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

WEIGHT_BYTES = 4  # weights are fp32 in a checkpoint and in the final model
MARGIN = 64 << 20  # bytes left for the record and what else is small


class NoSpaceError(OSError):
    """A checkpoint was not begun because the disk could not hold it."""


@dataclass(frozen=True)
class Prediction:
    """[byte] checkpoint: each; checkpoints: at most at a time, one being written; final: the weights at the end;
    answers: of the base, stored before the first step.
    """

    checkpoint: int
    checkpoints: int
    final: int
    answers: int = 0

    @property
    def total(self) -> int:
        """At most at any time."""
        return self.checkpoints + self.final + self.answers

    def __str__(self) -> str:
        answers = f"{readable(self.answers)} of the base's answers, " if self.answers else ""
        return f"{answers}{readable(self.checkpoints)} of checkpoints and {readable(self.final)} of final weights"


def predict(config: TrainConfig, num_params: int, num_trained: int, num_ends: int = 0, answers: int = 0) -> Prediction:
    """Of a run that trains `num_trained` of `num_params` parameters; only what is trained is in a checkpoint.

    num_ends: those of the trained ones that belong to embeddings and head. answers: bytes of the base's.
    """
    states = config.optimizer.all_state_bytes(num_trained - num_ends, num_ends)
    kept = WEIGHT_BYTES * (len(config.regularizer.kept) + len(config.replay.kept))
    kept += bool(config.sparsity.identity())  # a mask, a byte each
    each = int(num_trained * (WEIGHT_BYTES + kept) + states)
    return Prediction(each, each * (config.checkpoint.keep + 1), num_params * WEIGHT_BYTES * config.save_model, answers)


def free_bytes(path: Path) -> int:
    """Free where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def refuse_small_disk(run: Path, needed: Prediction) -> None:
    """UserError unless the disk holds it; what this run keeps there already counts as free."""
    from cptlab.training.checkpoint.folder import home

    own = sum(file.stat().st_size for file in home(run).rglob("*") if file.is_file())
    free = free_bytes(run)
    if needed.total + MARGIN > free + own:
        raise UserError(
            f"{run.parent} has {readable(free)} free, this run needs up to {needed}; give another disk with runs=,"
            " lower checkpoint.keep, or leave out the final weights with save_model=false"
        )


def check_space(run: Path, needed: int) -> None:
    """NoSpaceError unless a checkpoint of `needed` bytes fits now."""
    free = free_bytes(run)
    if needed + MARGIN > free:
        raise NoSpaceError(f"it takes {readable(needed)} and {readable(free)} are free")


def readable(size: float) -> str:
    """'512 B', '1.5 MB', '84 GB'."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
