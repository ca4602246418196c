"""`branches: true` in a study: points that differ in tokens alone leave one trunk, whose steps are trained once.

With WSD, a trapezoid or the infinite schedule, runs of every length have one LR until their final decay. So the trunk,
the same schedule without a decay, is trained to where the longest run leaves it and keeps a checkpoint at each exit;
every budget is then a branch (`branch.run`), equal bit by bit to its whole run. Trunks lie in `<runs>/.trunks/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.sweeps.bases import Bases, link_to
from cptlab.sweeps.index import planned_points, runs_folder
from cptlab.sweeps.preflight import check_points, compose_points, own
from cptlab.sweeps.study import Study

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Trunks(Bases):
    """What branches start from.

    study: its points are the trunks; links: a name for each, known before it is trained; whole: the points as runs
    of their own; exits: step at which each of them leaves, 0 where it leaves none.
    """

    study: Study
    links: tuple[Path, ...]
    whole: list[list[str]]
    exits: list[int]

    def folders(self) -> list[Path]:
        """The links."""
        return list(self.links)

    def make(self, train: Callable[[Study], list[Path]]) -> None:
        """Train them, after the bases that they start from, once it is known that the points can be branches."""
        from cptlab.training.branch import refuse_other_order

        if self.study.bases and self.study.bases.missing():
            self.study.bases.make(train)
        for point in check_points(self.whole):
            refuse_other_order(point.config, point.stream)
        for link, run in zip(self.links, train(self.study), strict=True):
            link_to(link, run)

    @property
    def how(self) -> str:
        """What makes them."""
        return f"cptlab sweep {self.study.file}"

    def saving(self) -> str:
        """'3 trunks and 12 branches: 1.2e+12 FLOPs, 46 % of 12 whole runs'. Opens what it plans."""
        whole, trunks = planned_points(self.whole), planned_points(self.study.points)
        own = [replace(point, left_at=step) for point, step in zip(whole, self.exits, strict=True)]
        spent = sum(point.flops for point in [*trunks, *own])
        return (
            f"{_counted(len(trunks), 'trunk')} and {_counted(len(own), 'branch')}: {spent:.2e} FLOPs,"
            f" {spent / sum(point.flops for point in whole):.0%} of {_counted(len(whole), 'whole run')}"
        )


def with_branches(study: Study) -> Study:
    """The study with its points as branches and their trunks as its bases; as it is where it has no `branches: true`.

    Composes every point and opens none. UserError where the points cannot be branches.
    """
    if not study.branches:
        return study
    configs = compose_points(study.points)
    groups: dict[str, list[int]] = {}
    for i, point in enumerate(study.points):
        groups.setdefault(json.dumps([text for text in point if not text.startswith("tokens=")]), []).append(i)
    points, all_exits, trunks, links = list(study.points), [0] * len(study.points), [], []
    for key, members in groups.items():
        if len(members) < 2:
            continue
        exits = {i: exit_of(study, i, configs[i]) for i in members}
        link = runs_folder(points[members[0]]) / ".trunks" / hashlib.sha256(key.encode()).hexdigest()[:12]
        links.append(link)
        trunks.append(trunk(json.loads(key), configs[members[0]], sorted(set(exits.values())), link.parent))
        for i, step in exits.items():
            points[i], all_exits[i] = [*points[i], f"branch.run={link}", f"branch.step={step}"], step
    if not trunks:
        raise UserError(f"{study.file}: branches needs points that differ in tokens alone, e.g. budgets: [1e6, 4e6]")
    stem = replace(study, name=f"{study.name} trunks", points=trunks, law=(), question=(), branches=False)
    bases = Trunks(study=stem, links=tuple(links), whole=study.points, exits=all_exits)
    return replace(study, points=points, bases=bases, branches=False)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("es" if noun.endswith("ch") else "s") * (number != 1)


def exit_of(study: Study, number: int, config: TrainConfig) -> int:
    """Optimizer steps that a point shares with its trunk. UserError where there are none."""
    schedule, point = config.lr_schedule, " ".join(own(study.points, number))
    if not schedule.end:
        raise UserError(
            f"{study.file}: branches: with lr_schedule={schedule.variant_name} the LR of every step depends on the"  # type: ignore[attr-defined]
            " length of the run; take wsd, trapezoid or infinite, or drop branches"
        )
    if config.branch.run or config.stream:
        raise UserError(f"{study.file}: branches makes branches of its own; drop branch.run and stream ({point})")
    step = min(schedule.shared_steps(config.tokens_per_step, config.tokens_total), config.steps - 1)
    if step < 1:
        raise UserError(f"{study.file}: branches: {point} decays from its first step; shorten the decay")
    return step


def trunk(overrides: list[str], config: TrainConfig, exits: list[int], runs: Path) -> list[str]:
    """Overrides of the run that passes all exits [step]."""
    return [
        *overrides, f"lr_schedule.{config.lr_schedule.end}=0", f"tokens={exits[-1] * config.tokens_per_step}",
        f"checkpoint.at_steps=[{','.join(map(str, exits))}]", f"checkpoint.keep={len(exits)}",
        "checkpoint.every_steps=0", "checkpoint.every_minutes=0", "checkpoint.keep_finished=true",
        "evaluation.points=1", "save_model=false", f"runs={runs}",
    ]  # fmt: skip
