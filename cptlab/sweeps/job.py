"""One point on its way through a driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cptlab.sweeps.planned import PlannedPoint


@dataclass
class Job:
    """A point to train. folder: of its record, None where it was not planned; work: [FLOP]; disk: at most [byte]."""

    number: int
    overrides: list[str]
    folder: Path | None = None
    work: float = 0.0
    disk: int = 0
    threads: int = 1
    devices: int = 1
    gpu: bool = False
    failures: int = 0

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.folder) if self.folder else " ".join(self.overrides)


def jobs_of(planned: list[PlannedPoint]) -> list[Job]:
    """The longest first: no core waits for a late long one at the end."""
    jobs = [
        Job(i, each.overrides, each.path, each.work, each.disk, each.threads, each.devices, each.gpu)
        for i, each in enumerate(planned)
    ]
    return sorted(jobs, key=lambda job: -job.work)
