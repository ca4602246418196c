"""What is finished of a study with `branches: true` stays what it is, whatever budgets the study is given later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cptlab.records.run import RunFolder
from cptlab.sweeps.index import planned_points
from cptlab.sweeps.pieces import Piece, with_those_before
from cptlab.sweeps.study import Study
from cptlab.training.checkpoint.folder import home

# in the numbers of a run
CHANGES_NOTHING = ("tracking", "checkpoint.", "machine.threads=", "runs=", "save_model=", "diagnostics")


def whole_runs(study: Study, left: Sequence[Piece]) -> list[Path | None]:
    """For each point its finished run from the base, None without one. left: the piece of each point.

    Points are opened, once (index.py), only where the folder has finished runs at all.
    """
    nothing: list[Path | None] = [None] * len(study.points)
    folders = {piece.link.parent.parent for piece in left}
    if (study.bases and study.bases.missing()) or not any(any(runs.glob("*/done.json")) for runs in folders):
        return nothing
    paths = [point.path for point in planned_points(study.points)]
    return [path if RunFolder(path).is_finished else None for path in paths]


def settled(left: Sequence[Piece], whole: Sequence[Path | None]) -> list[Piece]:
    """The pieces, each after the longest that can be left there, points of constant LR as they were trained.

    left: of each point; whole: its finished run from the base. Where such a run kept no checkpoint nothing follows it,
    and a piece that no other point leaves is not trained.
    """
    from_base = {piece.link: run for piece, run in zip(left, whole, strict=True) if run and piece.is_point}
    needed = {piece.link for piece, run in zip(left, whole, strict=True) if piece.is_point or not run}
    branches: dict[Path, dict[frozenset[str], tuple[str, ...]]] = {}
    found: dict[Path, Piece] = {}
    ends: dict[Path, Piece | None] = {}  # what is left in the place of each
    for piece in with_those_before(left):
        before, run = ends[piece.before.link] if piece.before else None, from_base.get(piece.link)
        trained: tuple[str, ...] | None = None
        if piece.is_point:
            runs = piece.link.parent.parent
            branches[runs] = branches.get(runs) or finished_branches(runs)
            trained = () if run else branches[runs].get(described(piece.overrides))
        new = found[piece.link] = replace(piece, before=None if run else before, trained=trained)
        keeps = (home(run) / f"step_{piece.step}").is_dir() if run else piece.link in needed or piece.is_there
        ends[piece.link] = new if keeps else before
    return [found[piece.link] for piece in left]


def finished_branches(runs: Path) -> dict[frozenset[str], tuple[str, ...]]:
    """Overrides of each finished branch without those that name its trunk -> those."""
    found = {}
    for file in sorted(runs.glob("*/done.json")):
        texts = overrides_of(file.parent) if RunFolder(file.parent).is_finished else []
        if trunk := tuple(text for text in texts if text.startswith("branch.")):
            found[described(texts)] = trunk
    return found


def overrides_of(run: Path) -> list[str]:
    """Of a recorded run; none where its record cannot be read, for readers of records say so."""
    try:
        return json.loads((run / "run.json").read_text("utf8"))["overrides"] or []
    except (OSError, ValueError, KeyError):
        return []


def described(overrides: Sequence[str]) -> frozenset[str]:
    """What of them sets the numbers of the whole run."""
    return frozenset(text for text in overrides if not text.startswith((*CHANGES_NOTHING, "branch.")))
