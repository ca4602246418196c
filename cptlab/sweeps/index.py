"""The planned points of a study, kept in `runs/.plan/`: plan and status then compose nothing and answer at once.

What is kept holds as long as the points, the program, the installed packages, and the files and folders that the
configurations name are what they were; else the points are composed and opened anew.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.launch import CONF
from cptlab.records.run import write_whole
from cptlab.sweeps.planned import PlannedPoint, plan_point
from cptlab.sweeps.values import text_of

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

NOT_READ = {"runs", "cache_dir", "folder", "separator"}  # fields that name where something is written, or no file
WILD = "*?["  # in what is a glob, as data sources read it


def planned_points(points: list[list[str]]) -> list[PlannedPoint]:
    """The points of a study with their figures, from the index if it holds. UserError as of preflight."""
    return known_points(points) or checked_points(points)


def known_points(points: list[list[str]]) -> list[PlannedPoint] | None:
    """What the index keeps, None if it does not hold."""
    kept = _read(index_file(points))
    return None if kept is None else [PlannedPoint(**entry) for entry in kept]


def checked_points(points: list[list[str]]) -> list[PlannedPoint]:
    """Compose and open every point, keep what was found."""
    from cptlab.sweeps.preflight import compose_points, open_points

    configs = compose_points(points)
    watched = _stamps(configs)  # before they are read: what changes meanwhile is read again next time
    opened = open_points(points, configs)
    planned = [plan_point(point, overrides) for point, overrides in zip(opened, points, strict=True)]
    _write(index_file(points), watched, [point.plain() for point in planned])
    return planned


def of_configs(points: list[list[str]], kind: str, find: Callable[[list[TrainConfig]], Any]) -> Any:
    """What `find` makes of the points' configurations, as JSON; from the index if it holds, and nothing is composed."""
    from cptlab.sweeps.preflight import compose_points

    file = index_file(points, kind)
    if (kept := _read(file)) is not None:
        return kept
    configs = compose_points(points)
    watched = _stamps(configs)
    _write(file, watched, found := find(configs))
    return found


def _read(file: Path) -> Any:
    """What the file keeps; None where it does not hold, was written by another version, or is not there."""
    try:
        kept = json.loads(file.read_text("utf8"))
        same = all(_stamp(path) == stamp for path, stamp in kept["watched"].items())
        return kept["found"] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: Path, watched: dict[str, str], found: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, {"watched": watched, "found": found})


def index_file(points: list[list[str]], kind: str = "") -> Path:
    """`<runs>/.plan/<hash>.json`; the hash covers the points, what is kept of them, the program and the packages."""
    digest = hashlib.sha256(json.dumps([points, kind, str(Path.cwd()), program_stamp()]).encode())
    return plan_folder(points) / f"{digest.hexdigest()[:12]}.json"


def plan_folder(points: list[list[str]]) -> Path:
    """Where plans and probes of a study are kept."""
    return runs_folder(points[0]) / ".plan"


def runs_folder(overrides: list[str]) -> Path:
    """Where a point's record goes, as its overrides say."""
    named = [
        value for key, _, value in (override.partition("=") for override in overrides) if key.lstrip("+") == "runs"
    ]
    return Path(text_of(named[-1]) if named else "runs")


def program_stamp() -> str:
    """Changes with the source, the configuration files and the installed packages."""
    root = CONF.parent
    files = [*sorted((root / "cptlab").rglob("*.py")), *sorted(CONF.rglob("*.yaml"))]
    packages = sorted(entry for entry in os.listdir(sysconfig.get_path("purelib")) if entry.endswith("-info"))
    stamps = [[str(file.relative_to(root)), *_of_file(file)] for file in files]
    return hashlib.sha256(json.dumps([stamps, packages]).encode()).hexdigest()


def _stamps(configs: list[TrainConfig]) -> dict[str, str]:
    """Path -> stamp of all that the configurations name."""
    texts = {text for config in configs for text in _texts(config)}
    return {path: _stamp(path) for path in sorted({path for text in texts for path in _paths(text)})}


def _texts(value: Any, field: str = "") -> Iterator[str]:
    """The texts of a configuration that may name something to be read."""
    if field in NOT_READ:
        return
    if is_dataclass(value):
        for each in fields(value):
            yield from _texts(getattr(value, each.name), each.name)
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)
    elif isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value:
        yield value


def _paths(text: str) -> Iterator[str]:
    """What a text names: a file or folder that exists, a glob, or either with a field, `path:field`."""
    for named in filter(None, (text, text.rpartition(":")[0])):
        path = os.path.join(os.getcwd(), os.path.expanduser(named))
        if os.path.exists(path) or set(WILD) & set(named):
            yield path


def _stamp(path: str) -> str:
    """Changes with the names, times and sizes of a file, of all files in a folder, or of those that match a glob."""
    if os.path.isdir(path):
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    else:
        found = [path] if os.path.exists(path) else glob.glob(path, recursive=True)
    stamps = [[file, *_of_file(file)] for file in sorted(found) if os.path.isfile(file)]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def _of_file(path: str | Path) -> list[int]:
    status = os.stat(path)
    return [status.st_mtime_ns, status.st_size]
