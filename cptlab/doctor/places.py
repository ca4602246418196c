"""Where records go: the disk under `runs`, and W&B."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.doctor.finding import Finding, gibibytes
from cptlab.training.tracking import Tracking, WandB

if TYPE_CHECKING:
    from cptlab.config import Checkpoints

LEAST, LITTLE = 100 * 2**20, 10 * 2**30  # [byte] free: below the first nothing starts, below the second a note


def disk(runs: Path) -> Finding:
    """Free space and the right to write where `runs` lies or would be made."""
    place = runs.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{gibibytes(free)} free in {runs}"
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("disk", found, stop=f"{place} cannot be written to; name another folder with runs=FOLDER")
    if free < LEAST:
        return Finding("disk", found, stop="make room, or name a folder on another disk with runs=FOLDER")
    note = "a checkpoint of a large model takes 12 bytes a parameter or more" if free < LITTLE else ""
    return Finding("disk", found, note=note)


def checkpoints(settings: Checkpoints) -> Finding:
    """When a run saves what it needs to go on, and how much of the past stays."""
    times = [
        *([f"every {settings.every_minutes:g} min"] if settings.every_minutes else []),
        *([f"every {settings.every_steps} steps"] if settings.every_steps else []),
        "at SIGTERM, SIGUSR1 and Ctrl-C",
    ]
    return Finding("checkpoints", f"{', '.join(times)}; kind {settings.kind}, the last {settings.keep} stay")


def wandb(tracking: Tracking) -> Finding:
    """Whether and how W&B is told; whether a key is set, never the key."""
    from importlib.util import find_spec

    if not isinstance(tracking, WandB):
        return Finding("wandb", "not used; tracking=wandb would")
    mode = os.environ.get("WANDB_MODE", "")
    key = "set" if os.environ.get("WANDB_API_KEY") else "not set"
    found = f"mode {tracking.mode}, WANDB_MODE {mode or 'not set'}, WANDB_API_KEY {key}"
    if find_spec("wandb") is None:
        return Finding("wandb", found, stop="pip install wandb, or use tracking=none")
    unsure = tracking.mode == "online" and key == "not set"
    return Finding("wandb", found, note="`wandb login` once, or tracking.mode=offline" if unsure else "")
