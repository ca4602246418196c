"""How a point ended."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How a point ended. status: finished | failed | skipped; losses: domain -> final loss [nat/token]."""

    run_id: str
    folder: Path
    status: str
    reason: str
    losses: dict[str, float]
    seconds: float
