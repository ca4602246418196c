"""A study through W&B: hand in what is not finished, work it off, look what the records say, hand in the rest again.

W&B hands a point of a grid out once, whatever becomes of its run. So the records decide: a point that has no finished
record when a sweep has ended is in the next one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cptlab.errors import UserError
from cptlab.records.wandb_address import why_silent
from cptlab.sweeps.cli import planned_of
from cptlab.sweeps.index import runs_folder
from cptlab.sweeps.local_agent import say
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.state import DONE, FAILED_STATE, RUNNING, state_of
from cptlab.sweeps.study import Study
from cptlab.sweeps.wandb.agents import agent_command, hand_in, work_off
from cptlab.sweeps.wandb.blocks import blocks, settings, span
from cptlab.sweeps.wandb.spec import Search, spec

FOLDER = ".agents"  # in the folder of the runs; W&B's client writes into .wandb wherever it finds one
LOOK = 2.0  # [s] between two looks at points that other processes train


@dataclass(frozen=True)
class Place:
    """Whose sweeps they are, and how many agents work here; retries: further sweeps of what is not finished."""

    entity: str = ""
    agents: int = 0
    retries: int = 1


def tracked(study: Study, project: str) -> Study:
    """The study with what sends its runs to W&B, none of which is part of a run's identity.

    project: "" = the study's tracking.project, or cptlab.
    """
    named = settings([each for each in study.points[0] if each.startswith("tracking.project=")])
    own = [f"tracking.project={project or named.get('tracking.project', 'cptlab')}", f"tracking.run_group={study.name}"]
    more = ("tracking=", "tracking.project=", "tracking.run_group=")
    points = [
        ["tracking=wandb", *(each for each in point if not each.startswith(more)), *own] for point in study.points
    ]
    return dataclasses.replace(study, points=points)


def unreachable() -> str:
    """Why no sweep can be created at W&B; "" if its server answers."""
    import wandb

    return why_silent(wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url)


def specs(study: Study, planned: Sequence[PlannedPoint], search: Search) -> list[dict[str, Any]]:
    """The sweeps of some points: a grid in as few products as it takes, a search in one."""
    points = [point.overrides for point in planned]
    parts = blocks(points) if search.method == "grid" else [span(points)]
    names = [study.name if len(parts) == 1 else f"{study.name} {i} of {len(parts)}" for i in range(1, 1 + len(parts))]
    return [spec(name, part, search) for name, part in zip(names, parts, strict=True)]


def drive(study: Study, search: Search, place: Place, dry_run: bool = False) -> int:
    """Returns 0 if every point of a grid is finished, or if a search has ended; 1 if points are left."""
    planned = planned_of(study)
    folder = runs_folder(study.points[0]) / FOLDER
    todo = [each for each in planned if state_of(each.path).status not in (DONE, RUNNING)]
    if not search.follows_points:
        todo = planned
    if dry_run:
        say("---\n".join(yaml.safe_dump(each, sort_keys=False) for each in specs(study, todo or planned, search)))
        return 0
    for again in range(1 + place.retries):
        if not todo:
            break
        sweep_off(study, todo, search, place, folder, again)
        if not place.agents or not search.follows_points:
            return 0
        todo = unfinished(planned)
    return told(study, planned)


def sweep_off(
    study: Study, todo: list[PlannedPoint], search: Search, place: Place, folder: Path, again: int
) -> None:  # fmt: skip
    """Hand in the sweeps of some points; with agents, work them off one after the other."""
    news = News(todo)
    say(f"{study.name}: {len(todo)} points {'not finished: handed out again' if again else 'to hand out'}")
    for i, content in enumerate(specs(study, todo, search)):
        stem = study.name.replace("/", "-")
        sweep = hand_in(content, folder / f"{stem}-{again}-{i}.yaml", place.entity)
        say(f"{content['name']}: {' '.join(agent_command(sweep))}")
        if place.agents:
            work_off(sweep, min(place.agents, len(todo)), folder, study.name, news.tell)
            news.tell()
    if not place.agents:
        say("start as many agents as you like; when they have ended, this command hands out what is unfinished")


def unfinished(planned: list[PlannedPoint]) -> list[PlannedPoint]:
    """Points without a finished record, when no process trains one of them any more."""
    while any(state_of(point.path).status == RUNNING for point in planned):
        time.sleep(LOOK)
    return [point for point in planned if state_of(point.path).status != DONE]


def told(study: Study, planned: list[PlannedPoint]) -> int:
    """Say what came of the points; the exit code."""
    states = [(point.path, state_of(point.path)) for point in planned]
    left = [(path, state) for path, state in states if state.status not in (DONE, RUNNING)]
    finished, running = (sum(state.status == which for _, state in states) for which in (DONE, RUNNING))
    elsewhere = f", {running} trained by other processes" if running else ""
    say(f"{study.name}: {finished} of {len(planned)} points finished{elsewhere}")
    for path, state in left:
        say(f"{state.status}: {path}" + (f": {state.reason}" if state.reason else ""))
    if left:
        say("the same command hands them out again")
    return int(bool(left))


class News:
    """Tells each point of a list once, when its record ends."""

    def __init__(self, planned: list[PlannedPoint]) -> None:
        self.waiting, self.total = list(planned), len(planned)
        self.before = {point.path: state_of(point.path).reason for point in planned}

    def tell(self) -> None:
        """Look at the records."""
        for point in list(self.waiting):
            state = state_of(point.path)
            failed = state.status == FAILED_STATE and state.reason != self.before[point.path]
            if state.status == DONE or failed:
                self.waiting.remove(point)
                losses = "".join(f"  {name} {loss:.4f}" for name, loss in state.losses.items())
                place = f"[{self.total - len(self.waiting)}/{self.total}]"
                say(f"{place} {point.path} " + (f"FAILED: {state.reason}" if failed else f"finished{losses}"))


def refuse_search(study: Study, search: Search) -> None:
    """UserError unless the study's runs log the metric."""
    from cptlab.sweeps.preflight import check_points

    search.check(list(check_points(study.points[:1])[0].corpora.corpora))


def refuse_agents(place: Place) -> None:
    """UserError for numbers out of range."""
    for name, value in (("agents", place.agents), ("retries", place.retries)):
        if value < 0:
            raise UserError(f"--{name} is {value}; it must be 0 or more")
