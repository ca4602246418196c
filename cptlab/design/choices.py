"""What an adaptive sweep has chosen so far, written down before it is trained, so that a killed sweep goes on with it.

`<runs>/.plan/adaptive-<hash>.json`; the hash covers the study's points, law and question, so a changed study starts
its choices anew (runs that it shares with the old one are finished already and are read like any other).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cptlab.design.asked import Asked
from cptlab.design.space import Point
from cptlab.errors import UserError
from cptlab.records.lock import guarded
from cptlab.records.run import write_whole
from cptlab.sweeps.index import plan_folder
from cptlab.sweeps.study import Study


@dataclass
class Choices:
    """rounds: of points, in the order of their choice; asked: where they lie.

    Two sweeps of one study share the file, so a round is chosen and added within `held`.
    """

    file: Path
    asked: Asked
    rounds: list[list[Point]] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """All of them."""
        return [point for points in self.rounds for point in points]

    @contextmanager
    def held(self) -> Iterator[list[Point]]:
        """No other process chooses meanwhile. Gives the points of rounds that one has written since ours was read."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with guarded(self.file.parent):
            known, now = self.points, self.read()
            if len(now) > len(self.rounds):
                self.rounds = now
            yield [point for point in self.points if point not in known]

    def read(self) -> list[list[Point]]:
        """What the file holds; nothing where there is none. UserError where it is not ours."""
        if not self.file.exists():
            return []
        try:
            rounds = json.loads(self.file.read_text("utf8"))["rounds"]
            return [[self.asked.point(float(p["share"]), int(p["seed"])) for p in points] for points in rounds]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.file} holds no choices of an adaptive sweep; delete it, and they are made anew"
            ) from error

    def add(self, points: Sequence[Point]) -> None:
        """One more round, on the disk before this returns; only where they are `held`."""
        self.rounds.append(list(points))
        rounds = [[{"share": point.share, "seed": point.seed} for point in points] for points in self.rounds]
        write_whole(self.file, {"rounds": rounds})


def read_choices(study: Study, asked: Asked) -> Choices:
    """Those of an earlier call of the same study; none at first. UserError where the file is not ours."""
    digest = hashlib.sha256(json.dumps([study.points, study.law, study.question]).encode()).hexdigest()[:12]
    choices = Choices(plan_folder(study.points) / f"adaptive-{digest}.json", asked)
    choices.rounds = choices.read()
    return choices
