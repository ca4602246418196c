"""How a point ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCKED = "locked"
REFUSED = "refused"
REPEATS = "repeats"  # of `of_attempt` in done.json


def repeats(done: dict[str, Any] | None) -> bool:
    """Whether a failed point would fail the same way again: it computed what the seed says, and that is no number."""
    return bool(((done or {}).get("of_attempt") or {}).get(REPEATS))


@dataclass(frozen=True)
class Outcome:
    """How a point ended. losses: domain -> final loss [nat/token].

    status: finished | failed | skipped (finished before) | locked (another process trains it now; `reason` says which)
    | refused (a user's mistake that only training met; nothing of it is recorded).
    apart: it failed in one of several processes that torchrun or srun started, which agree on nothing from then on.
    """

    run_id: str
    folder: Path
    status: str
    reason: str
    losses: dict[str, float]
    seconds: float
    apart: bool = False
