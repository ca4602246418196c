"""Run folders on the disk -> facts and rows, whatever state a crash left them in."""

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptlab.errors import UserError


@dataclass(frozen=True)
class Run:
    """One run folder: the facts, and the last attempt's row of each (step, domain, split)."""

    folder: Path | str  # where it is kept, for messages
    facts: Mapping[str, Any]
    done: Mapping[str, Any]
    rows: list[dict[str, Any]]


def run_folders(path: str) -> list[Path]:
    """Run folders (they hold run.json) under each comma-separated folder or glob, sorted."""
    found: list[Path] = []
    for part in filter(None, (p.strip() for p in path.split(","))):
        matches = sorted(glob.glob(str(Path(part).expanduser())))
        if not matches:
            raise UserError(
                f"source.path={part} does not exist: make runs with `python train.py`, or give the folder "
                "that holds the run folders"
            )
        for match in map(Path, matches):
            inside = [match] if (match / "run.json").exists() else sorted(match.glob("*/"))
            found += [folder for folder in inside if (folder / "run.json").exists()]
    return list(dict.fromkeys(found))


def load_run(folder: Path) -> Run:
    """Read one run folder; of several attempts the last row of each (step, domain, split) counts."""
    facts, done = _json(folder / "run.json"), folder / "done.json"
    rows = []
    finished = _json(done) if done.exists() else {}
    evals = folder / "evals.jsonl"
    lines = evals.read_text(encoding="utf-8").splitlines() if evals.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row_key(row)
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            if finished.get("status") == "finished":
                raise UserError(
                    f"{evals}: line {number} is no evaluation row; delete the run folder and train it again"
                ) from error
            continue
        rows.append(row)
    return Run(folder, facts, finished, last_attempts(rows))


def row_key(row: Mapping[str, Any]) -> tuple[int, str, str]:
    """What a row is about."""
    return row["step"], row["domain"], row["split"]


def last_attempts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of several attempts the last row of each (step, domain, split), by step."""
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row_key(row)
        if key not in found or row.get("attempt", 0) >= found[key].get("attempt", 0):
            found[key] = row
    return sorted(found.values(), key=lambda row: row["step"])


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON (line {error.lineno}); delete that run folder") from error
