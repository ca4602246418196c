"""What a study needs before its own points: which grids come first, and how to make bases that are missing."""

from __future__ import annotations

from pathlib import Path

from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.sweeps.bases import Bases, link_to
from cptlab.sweeps.index import planned_points, runs_folder
from cptlab.sweeps.study import Study, read_study
from cptlab.sweeps.trunks import Trunks, with_branches


def points_of_file(file: str, extra: list[str]) -> list[list[str]]:
    """The points of a study whose bases are there, for a driver that does not make them. UserError where one is not."""
    study = read_study(Path(file), extra)
    study.check_fit(str(runs_folder(study.points[0])))
    study = with_branches(study)
    if study.bases and study.bases.missing():
        link_finished(study.bases)
    refuse_missing(study)
    return study.points


def refuse_missing(study: Study) -> None:
    """UserError, with how to make them, while bases are missing."""
    bases = study.bases
    if bases and (missing := bases.missing()):
        what = "trunks" if isinstance(bases, Trunks) and not roots_missing(bases) else "bases"
        own = f"cptlab sweep {study.file}"
        alone = "" if bases.how == own else f", or do it now with `{bases.how}`"
        raise UserError(
            f"{study.name}: {len(missing)} of its {what} {'is' if len(missing) == 1 else 'are'} not trained yet"
            f" ({missing[0]}): `{own}` trains {what} first{alone}"
        )


def link_finished(bases: Bases) -> None:
    """Let finished runs of a grid of bases appear where the study looks for them, whichever driver trained them."""
    grid = stem_of(bases)
    if bases.grid is None or grid is None or grid.branches or (grid.bases and grid.bases.missing()):
        return
    for link, point in zip(bases.folders(), planned_points(grid.points), strict=True):
        if RunFolder(point.path).is_finished and not RunFolder(link).is_finished:
            link_to(link, point.path)


def stem_of(bases: Bases) -> Study | None:
    """The study that makes them; None where a command does."""
    if isinstance(bases, Trunks):
        return bases.study
    return read_study(bases.grid, []) if bases.grid else None


def roots_missing(bases: Bases | None) -> bool:
    """Whether what the first trunks start from is not trained."""
    while isinstance(bases, Trunks):
        bases = bases.study.bases
    return bool(bases and bases.missing())
