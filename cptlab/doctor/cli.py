"""`cptlab doctor [machine=gpu_1 ...]`: what a run with these overrides would find here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cptlab.doctor.finding import Finding


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `doctor` to the commands of `cptlab`."""
    commands.add_parser(
        "doctor",
        help="devices, attention, precision, versions, W&B and disk; exit code 0 when training can start",
        epilog="key=value overrides as for train.py, e.g. machine=gpu_1 tracking=wandb runs=/scratch/runs",
    )


def run(overrides: list[str]) -> int:
    """Print the findings; 1 if one of them keeps a run from starting."""
    from cptlab.doctor.finding import lines
    from cptlab.doctor.packages import CORE, packages

    findings = packages()
    if not any(finding.stop for finding in findings if finding.what in CORE):
        findings += of_configuration(overrides)
    print(lines(findings))
    stops = [finding for finding in findings if finding.stop]
    if stops:
        print(f"\ntraining cannot start: {'; '.join(f'{finding.what}: {finding.stop}' for finding in stops)}")
        return 1
    print("\ntraining can start")
    return 0


def of_configuration(overrides: list[str]) -> list[Finding]:
    """Findings that depend on the machine, the tracker and the folder that the overrides name."""
    from cptlab.doctor.devices import devices, host
    from cptlab.doctor.places import checkpoints, disk, wandb
    from cptlab.sweeps.preflight import compose_point

    config = compose_point(overrides)
    places = [disk(Path(config.runs)), checkpoints(config.checkpoint), wandb(config.tracking)]
    return [*host(), *devices(config.machine), *places]
