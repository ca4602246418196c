"""How a point ended."""

from dataclasses import dataclass
from pathlib import Path

LOCKED = "locked"


@dataclass(frozen=True)
class Outcome:
    """How a point ended. losses: domain -> final loss [nat/token].

    status: finished | failed | skipped (finished before) | locked (another process trains it now; `reason` says which).
    """

    run_id: str
    folder: Path
    status: str
    reason: str
    losses: dict[str, float]
    seconds: float
