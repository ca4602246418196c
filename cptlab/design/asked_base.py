"""The one base that an adaptive sweep needs: that of the asked size, and no other of the study's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cptlab.design.asked import Asked
from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.sweeps.bases import link_to
from cptlab.sweeps.index import checked_points, known_points
from cptlab.sweeps.study import Study, read_study
from cptlab.sweeps.sweep import make_bases, sweep
from cptlab.sweeps.workers import KeptWorkers


def make_base(
    study: Study, asked: Asked, workers: int, per_gpu: int, retries: int, kept: KeptWorkers | None = None
) -> None:
    """Train it if it is missing. Of a grid of bases its point alone; a command makes what it makes. UserError."""
    bases = study.bases
    if bases is None or not asked.base or RunFolder(Path(asked.base)).is_finished:
        return
    if bases.grid is None:
        make_bases(study, bases.missing(), workers, per_gpu, retries)
        return
    grid = read_study(bases.grid, [])
    points = dict(zip(bases.folders(), grid.points, strict=True))
    link = Path(asked.base)
    if link not in points:
        named = ", ".join(map(str, points))
        raise UserError(f"the base {link} of the asked size is none that {bases.grid} makes ({named})")
    one = replace(grid, points=[points[link]], law=(), question=(), branches=False)
    if sweep(one, workers, per_gpu, retries, kept=kept):
        raise UserError(f"the base {link} failed; {study.name} was not started")
    (run,) = known_points(one.points) or checked_points(one.points)
    link_to(link, run.path)
