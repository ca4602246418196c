"""Pieces of the trunks of a study with `branches: true` (trunks.py): where its points leave them, what each trains."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.sweeps.index import of_configs
from cptlab.sweeps.preflight import own
from cptlab.sweeps.study import Study
from cptlab.sweeps.values import value_text
from cptlab.training.checkpoint.folder import home

if TYPE_CHECKING:
    import numpy as np

    from cptlab.config import TrainConfig

OWN = ("tokens=", "lr_schedule.", "lr_schedule=", "tracking")  # in what points of one trunk may differ
KEPT = "checkpoint.keep_finished=true"


@dataclass(frozen=True)
class Piece:
    """The steps of a trunk up to an exit. link: where its run appears; overrides: of a run that ends at `step`.

    before: the piece that it leaves; tokens_per_step: of the run. is_point: whether it is no part of a point but one,
    of constant LR, which longer ones go on from; trained: then, the overrides of what its finished run left.
    """

    link: Path
    step: int
    overrides: tuple[str, ...]
    before: Piece | None
    tokens_per_step: int
    is_point: bool = False
    trained: tuple[str, ...] | None = None

    @property
    def depth(self) -> int:
        """Pieces before it."""
        return self.before.depth + 1 if self.before else 0

    @property
    def branch(self) -> list[str]:
        """Overrides of what leaves it."""
        return [f"branch.run={value_text(str(self.link))}", f"branch.step={self.step}"]

    @property
    def leaves(self) -> list[str]:
        """Overrides that say what it leaves itself."""
        if self.trained is not None:
            return list(self.trained)
        return self.before.branch if self.before else []

    @property
    def all_overrides(self) -> list[str]:
        """With those."""
        return [*self.overrides, *self.leaves]

    @property
    def is_there(self) -> bool:
        """Whether it is trained and keeps the checkpoint at its exit."""
        return RunFolder(self.link).is_finished and (home(self.link) / f"step_{self.step}").is_dir()


def pieces_left(study: Study) -> list[Piece]:
    """For each point the piece that it leaves, or at constant LR is. UserError where points cannot be branches."""

    def find(configs: list[TrainConfig]) -> dict[str, list[Any]]:
        exits = [exit_of(study, i, config) for i, config in enumerate(configs)]
        pieces = {piece.link: piece for piece in pieces_of(study, exits)}
        numbers = {link: number for number, link in enumerate(pieces)}
        before = [numbers[piece.before.link] if piece.before else None for piece in pieces.values()]
        plain = [
            [str(piece.link), piece.step, piece.overrides, number, piece.tokens_per_step, piece.is_point]
            for piece, number in zip(pieces.values(), before, strict=True)
        ]
        return {"pieces": plain, "left": [numbers[link] for link, _, _ in exits]}

    known = of_configs(study.points, "branches", find)
    pieces: list[Piece] = []
    for link, step, overrides, number, tokens, is_point in known["pieces"]:
        before = None if number is None else pieces[number]
        pieces.append(Piece(Path(link), step, tuple(overrides), before, tokens, is_point))
    return [pieces[number] for number in known["left"]]


def with_those_before(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces and all that they follow, each once, the shortest first."""
    found: dict[Path, Piece] = {}
    for piece in pieces:
        after: Piece | None = piece
        while after:
            found[after.link] = after
            after = after.before
    return sorted(found.values(), key=lambda piece: piece.step)


def exit_of(study: Study, number: int, config: TrainConfig) -> tuple[Path, np.ndarray, TrainConfig]:
    """(link of its piece, LR factors of the steps before the final decay, configuration) of a point. UserError.

    At constant LR nothing decays: a longer point goes on where this one ends.
    """
    import numpy as np  # here, since `cptlab status` loads nothing heavy

    schedule, point = config.lr_schedule, " ".join(own(study.points, number))
    if not (schedule.end or schedule.is_constant):
        raise UserError(
            f"{study.file}: branches: with lr_schedule={schedule.variant_name} the LR of every step depends on the"  # type: ignore[attr-defined]
            " length of the run; take constant, wsd, trapezoid or infinite, or drop branches"
        )
    if config.branch.run or config.stream:
        raise UserError(f"{study.file}: branches makes branches of its own; drop branch.run and stream ({point})")
    step = config.steps
    if not schedule.is_constant:
        step = min(schedule.shared_steps(config.tokens_per_step, config.tokens_total), config.steps - 1)
    if step < 1:
        raise UserError(f"{study.file}: branches: {point} decays from its first step; shorten the decay")
    factors = schedule.factor(np.arange(1.0, step + 1) * config.tokens_per_step, config.tokens_total)
    kind = ["constant"] if schedule.is_constant else []
    digest = hashlib.sha256(json.dumps([shared_by(study.points[number]), factors.tolist(), *kind]).encode())
    return Path(config.runs) / ".trunks" / digest.hexdigest()[:12], factors, config


def shared_by(point: Sequence[str]) -> list[str]:
    """The overrides that all points of a trunk have."""
    return sorted(text for text in point if not text.lstrip("+~").startswith(OWN))


def pieces_of(study: Study, exits: list[tuple[Path, np.ndarray, TrainConfig]]) -> list[Piece]:
    """One a link, each after the longest piece with the same beginning."""
    import numpy as np

    found: dict[Path, Piece] = {}
    shorter: dict[tuple, list[tuple[np.ndarray, Piece]]] = {}  # by what points of one trunk have in common
    for i in sorted(range(len(exits)), key=lambda i: len(exits[i][1])):
        link, factors, config = exits[i]
        if link in found:
            continue
        schedule, point = config.lr_schedule, study.points[i]
        same = shorter.setdefault((schedule.is_constant, *shared_by(point)), [])
        before = [piece for theirs, piece in same if np.array_equal(theirs, factors[: len(theirs)])]
        overrides = (*point, KEPT) if schedule.is_constant else (
            *(text for text in point if not text.lstrip("+~").startswith(("tokens=", "tracking"))),
            f"lr_schedule.{schedule.end}=0", f"tokens={len(factors) * config.tokens_per_step}",
            "checkpoint.keep=1", KEPT, "evaluation.points=1", "save_model=false", "tracking=none",
            f"runs={value_text(str(link.parent))}",
        )  # fmt: skip
        piece = Piece(
            link, len(factors), overrides, before[-1] if before else None, config.tokens_per_step, schedule.is_constant
        )
        found[link] = piece
        same.append((factors, piece))
    return list(found.values())
