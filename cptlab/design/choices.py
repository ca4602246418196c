"""What an adaptive sweep has chosen so far, written down before it is trained, so that a killed sweep goes on with it.

`<runs>/.plan/adaptive-<hash>.json`; the hash covers the study's points, law and question, so a changed study starts
its choices anew (runs that it shares with the old one are finished already and are read like any other).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cptlab.design.asked import Asked
from cptlab.design.space import Point
from cptlab.errors import UserError
from cptlab.records.run import write_whole
from cptlab.sweeps.index import plan_folder
from cptlab.sweeps.study import Study


@dataclass
class Choices:
    """rounds: of points, in the order of their choice."""

    file: Path
    rounds: list[list[Point]] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """All of them."""
        return [point for points in self.rounds for point in points]

    def add(self, points: Sequence[Point]) -> None:
        """One more round, on the disk before this returns."""
        self.rounds.append(list(points))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        rounds = [[{"share": point.share, "seed": point.seed} for point in points] for points in self.rounds]
        write_whole(self.file, {"rounds": rounds})


def read_choices(study: Study, asked: Asked) -> Choices:
    """Those of an earlier call of the same study; none at first. UserError where the file is not ours."""
    digest = hashlib.sha256(json.dumps([study.points, study.law, study.question]).encode()).hexdigest()[:12]
    file = plan_folder(study.points) / f"adaptive-{digest}.json"
    if not file.exists():
        return Choices(file)
    try:
        rounds = json.loads(file.read_text("utf8"))["rounds"]
        return Choices(file, [[asked.point(float(p["share"]), int(p["seed"])) for p in points] for points in rounds])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} holds no choices of an adaptive sweep; delete it, and they are made anew") from error
