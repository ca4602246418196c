"""`runs/<run_id>/checkpoints/step_<n>/`: names, commit marker, checksums, the newest valid one, the last few.

A checkpoint is written under a name that nobody reads, gets a marker with the SHA-256 of each file, and is renamed. One
without a marker, or with a file that is not what the marker says, is treated as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cptlab.records.run import write_whole

MARKER = "complete.json"
STATE = "state.json"  # all that is no tensor
FULL = "tensors.pt"  # of a full checkpoint
SHARDS = "shards"  # folder of a sharded one
NAME = re.compile(r"step_(\d+)$")


def home(run: Path) -> Path:
    """Where the checkpoints of a run folder are."""
    return run / "checkpoints"


def final_name(run: Path, step: int) -> Path:
    """The folder of a whole checkpoint."""
    return home(run) / f"step_{step}"


def temporary_name(run: Path, step: int) -> Path:
    """The folder that it is written in."""
    return home(run) / f".step_{step}.partial"


def step_of(path: Path) -> int:
    """Optimizer steps that a checkpoint holds."""
    found = NAME.match(path.name)
    if not found:
        raise ValueError(f"{path} is no checkpoint folder")
    return int(found[1])


def kept(run: Path) -> list[Path]:
    """Checkpoint folders of a run, whole or not, the newest first."""
    found = [path for path in home(run).glob("step_*") if NAME.match(path.name)]
    return sorted(found, key=step_of, reverse=True)


def files_in(path: Path) -> list[str]:
    """Files of a checkpoint, the marker left out, as names under it."""
    every = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return sorted(name for name in every if name != MARKER)


def checksum(file: Path) -> dict:
    """{sha256, bytes} of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as handle:
        while chunk := handle.read(1 << 22):
            digest.update(chunk)
            size += len(chunk)
    return {"sha256": digest.hexdigest(), "bytes": size}


def checksums(path: Path, names: Iterable[str]) -> dict[str, dict]:
    """Of several files of a checkpoint, some at a time: hashing lets other threads run."""
    names = list(names)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: checksum(path / name), names), strict=True))


def commit(run: Path, step: int, files: dict[str, dict]) -> Path:
    """Marker, then the final name; all of it forced to the disk. `files`: checksums of everything in it."""
    temporary, final = temporary_name(run, step), final_name(run, step)
    for name in files:
        _force(temporary / name)
    write_whole(temporary / MARKER, {"step": step, "files": files})
    _force(temporary)
    away = home(run) / f".step_{step}.old"
    shutil.rmtree(away, ignore_errors=True)
    if final.exists():  # one that was not valid, else this step would not have been trained again
        final.rename(away)
    temporary.rename(final)
    _force(home(run))
    shutil.rmtree(away, ignore_errors=True)
    return final


def problem(path: Path) -> str:
    """Why a checkpoint cannot be used; "" if it can."""
    try:
        files = json.loads((path / MARKER).read_text("utf8"))["files"]
    except FileNotFoundError:
        return "it has no commit marker, so it was not written to its end"
    except (OSError, ValueError, KeyError, TypeError):
        return "its commit marker cannot be read"
    if missing := sorted(set(files) - set(files_in(path))):
        return f"{missing[0]} is missing"
    if wrong := [name for name, each in files.items() if (path / name).stat().st_size != each["bytes"]]:
        return f"{wrong[0]} has not its recorded size"
    found = checksums(path, files)
    wrong = [name for name in files if found[name]["sha256"] != files[name]["sha256"]]
    return f"{wrong[0]} has not its recorded checksum" if wrong else ""


def newest_valid(run: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from; `say` is told of each newer one that is treated as absent."""
    for path in kept(run):
        why = problem(path)
        if not why:
            return path
        say(f"{path} is treated as absent: {why}")
    return None


def prune(run: Path, step: int, keep: int) -> None:
    """Keep the last `keep` up to `step`; what is newer was not valid, what has no final name was cut by a crash."""
    for path in home(run).glob(".step_*"):
        shutil.rmtree(path, ignore_errors=True)
    older = [path for path in kept(run) if step_of(path) <= step]
    for path in kept(run):
        if path not in older[:keep]:
            shutil.rmtree(path, ignore_errors=True)


def remove_all(run: Path) -> None:
    """After a finished run: its weights are kept elsewhere."""
    shutil.rmtree(home(run), ignore_errors=True)


def _force(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
