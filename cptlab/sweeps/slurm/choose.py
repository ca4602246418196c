"""Which launcher a multirun asks for, and what it needs."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence

from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.training.outcome import Outcome

BASIC = ("basic", "joblib", "ray")  # launchers that are left as they are
COMMANDS = ("sbatch", "srun", "squeue", "scontrol")


def chosen(overrides: Sequence[str]) -> str:
    """The submitit launcher of a command line: slurm, submitit_slurm, submitit_local; "" for another."""
    values = [each.split("=", 1)[1] for each in overrides if each.startswith("hydra/launcher=")]
    return values[-1] if values and values[-1] not in BASIC else ""


def check_launcher(launcher: str) -> None:
    """UserError where no jobs can be handed in from here."""
    if importlib.util.find_spec("submitit") is None or importlib.util.find_spec("hydra_plugins") is None:
        raise UserError(f"hydra/launcher={launcher} needs submitit; pip install 'cptlab[sweep]'")
    absent = [name for name in COMMANDS if shutil.which(name) is None] if "slurm" in launcher else []
    if absent:
        raise UserError(
            f"hydra/launcher={launcher} needs SLURM's {', '.join(absent)} on PATH; run it where jobs are handed in"
        )


def hand_in_points(folders: Sequence[RunFolder], report: Callable[[Outcome, int], None]) -> None:
    """Let Hydra hand in the points of these records, in this order; report: how one ended, and how many have."""
    from cptlab.sweeps.slurm.launcher import replace_launchers

    replace_launchers(folders, report)
