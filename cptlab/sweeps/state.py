"""How far a point is, from its run folder alone: done, running, failed, interrupted or missing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cptlab.records.lock import holder
from cptlab.records.run import FAILED, FINISHED

DONE, RUNNING, FAILED_STATE, INTERRUPTED, MISSING = "done", "running", "failed", "interrupted", "missing"
ORDER = (DONE, RUNNING, FAILED_STATE, INTERRUPTED, MISSING)


@dataclass(frozen=True)
class State:
    """status: one of ORDER; left: of a running point [s]; seconds: of a finished one's last attempt."""

    status: str
    reason: str = ""
    step: int = 0
    steps: int = 0
    left: float | None = None
    seconds: float = 0.0
    from_step: int = 0
    where: str = ""
    losses: dict[str, float] = field(default_factory=dict)


def state_of(run: Path) -> State:
    """Read done.json and lock.json of one run folder."""
    done = _json(run / "done.json")
    if done and done.get("status") == FINISHED:
        return State(
            DONE, seconds=done.get("seconds", 0.0), losses=done.get("losses", {}),
            from_step=done.get("of_attempt", {}).get("from_step", 0),
        )  # fmt: skip
    if held := holder(run):
        pace, step, steps = held.get("seconds_per_step", 0), held.get("step", 0), held.get("steps", 0)
        since = max(time.time() - held.get("beat", time.time()), 0.0)
        left = max(pace * (steps - step) - since, 0.0) if pace else None
        return State(RUNNING, step=step, steps=steps, left=left, where=f"{held.get('host')}:{held.get('process')}")
    if done and done.get("status") == FAILED:
        return State(FAILED_STATE, done.get("reason", ""))
    if done:
        return State(INTERRUPTED, done.get("reason", ""))
    if (run / "run.json").exists():
        return State(INTERRUPTED, "its process ended without a word")
    return State(MISSING)


def _json(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text("utf8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {"status": FAILED, "reason": f"{file.name} is no JSON"}
