"""What `cptlab plan` and `cptlab status` show one after the other: grids of missing bases, then the study's own points.

Points whose bases are not trained yet cannot be opened; their figures come from their configurations alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.sweeps.first import refuse_missing, stem_of
from cptlab.sweeps.index import of_configs, plan_folder, planned_points
from cptlab.sweeps.planned import PlannedPoint, plan_config
from cptlab.sweeps.state import DONE, FAILED_STATE, State, state_of
from cptlab.sweeps.study import Study
from cptlab.sweeps.trunks import Trunks, standing, with_branches

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

SETTLED = (DONE, FAILED_STATE)
LATER = "after its base"  # instead of a run_id, which the base's weights are a part of


@dataclass(frozen=True)
class Block:
    """A study's points. opened: whether their bases are there."""

    study: Study
    points: list[PlannedPoint]
    opened: bool = True

    @property
    def name(self) -> str:
        """The study's."""
        return self.study.name

    @property
    def folder(self) -> Path:
        """Where its plans and probes are kept."""
        return plan_folder(self.study.points)

    def states(self) -> list[State]:
        """How far each point is now."""
        return [
            State(FAILED_STATE, "its trunk failed") if self.opened and point.run_id == LATER else state_of(point.path)
            for point in self.points
        ]

    def made_elsewhere(self) -> str:
        """A sentence where a command makes bases that are missing, which no block before this one shows; else ''."""
        bases = self.study.bases
        if self.opened or not bases or stem_of(bases) is not None:
            return ""
        count = len(bases.missing())
        return f"{self.name}: {count} {'base is' if count == 1 else 'bases are'} not made yet, and no part of this:" + (
            f" `{bases.how}`"
        )


def blocks_of(study: Study) -> list[Block]:
    """In the order in which a sweep trains them; only the study's own where its bases are trained. UserError."""
    study = with_branches(study)
    if study.bases is None or not study.bases.missing():
        return [Block(study, planned_points(study.points))]
    stem = stem_of(study.bases)
    before = blocks_of(stem) if stem else []
    if isinstance(study.bases, Trunks) and some_failed(before):
        return [*before, Block(study, partly_opened(study))]
    return [*before, Block(study, unopened(study), opened=False)]


def some_failed(blocks: Sequence[Block]) -> bool:
    """Whether every point is done or has failed, and one has."""
    found = {state.status for block in blocks for state in block.states()}
    return FAILED_STATE in found and found <= set(SETTLED)


def partly_opened(study: Study) -> list[PlannedPoint]:
    """Points whose trunk is there, opened, among those whose trunk failed."""
    there = standing(study).points
    found = {tuple(each.overrides): each for each in (planned_points(there) if there else [])}
    found |= {tuple(each.overrides): each for each in unopened(study) if tuple(each.overrides) not in found}
    return [found[tuple(point)] for point in study.points]


def is_stale(blocks: Sequence[Block]) -> bool:
    """Whether bases have been trained since, or all trunks that can be, so that there is more to know."""
    for number, block in enumerate(blocks):
        bases, waits = block.study.bases, not block.opened
        if not (waits or any(point.run_id == LATER for point in block.points)):
            continue
        lost = waits and isinstance(bases, Trunks) and some_failed(blocks[:number])
        if lost or not (bases and bases.missing()):
            return True
    return False


def unopened(study: Study) -> list[PlannedPoint]:
    """Points with what their configurations tell. UserError where a missing base alone knows the size."""

    def find(configs: list[TrainConfig]) -> list[dict[str, Any]]:
        missing = set(study.bases.missing() if study.bases else [])
        for config in configs:
            path = Path(getattr(config.model, "path", ""))
            if missing & {path, *path.parents}:
                refuse_missing(study)
        return [_planned(config, point).plain() for config, point in zip(configs, study.points, strict=True)]

    return [PlannedPoint(**entry) for entry in of_configs(study.points, "unopened", find)]


def _planned(config: TrainConfig, overrides: list[str]) -> PlannedPoint:
    """Embeddings count with data.vocab_size rows, evaluations with all of their rows."""
    data = config.data
    corpora = len(data.names())
    looks = 1 + min(config.evaluation.points, config.steps) + 4  # split fit at each; valid and test first and last
    evaluated = looks * corpora * config.evaluation.rows * data.sequence_length
    return plan_config(config, overrides, run_id=LATER, vocab_size=data.vocab_size, eval_tokens=evaluated)
