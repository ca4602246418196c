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
from cptlab.sweeps.index import of_configs, runs_folder
from cptlab.sweeps.preflight import own
from cptlab.sweeps.study import Study
from cptlab.training.checkpoint.folder import home

if TYPE_CHECKING:
    import numpy as np

    from cptlab.config import TrainConfig

OWN = ("tokens=", "lr_schedule.", "lr_schedule=")  # in what points of one trunk may differ


@dataclass(frozen=True)
class Piece:
    """The steps of a trunk up to an exit. link: where its run appears; overrides: of a run that ends at `step`.

    before: the piece that it leaves; tokens_per_step: of the run.
    """

    link: Path
    step: int
    overrides: tuple[str, ...]
    before: Piece | None
    tokens_per_step: int

    @property
    def depth(self) -> int:
        """Pieces before it."""
        return self.before.depth + 1 if self.before else 0

    @property
    def branch(self) -> list[str]:
        """Overrides of what leaves it."""
        return [f"branch.run={self.link}", f"branch.step={self.step}"]

    @property
    def is_there(self) -> bool:
        """Whether it is trained and keeps the checkpoint at its exit."""
        return RunFolder(self.link).is_finished and (home(self.link) / f"step_{self.step}").is_dir()


def pieces_left(study: Study) -> list[Piece]:
    """For each point the piece that it leaves. UserError where points cannot be branches."""

    def find(configs: list[TrainConfig]) -> dict[str, list[Any]]:
        exits = [exit_of(study, i, config) for i, config in enumerate(configs)]
        pieces = {piece.link: piece for piece in pieces_of(study, exits)}
        numbers: dict[Path | None, int | None] = {link: number for number, link in enumerate(pieces)}
        numbers[None] = None
        plain = [
            [str(p.link), p.step, p.overrides, numbers[p.before.link if p.before else None], p.tokens_per_step]
            for p in pieces.values()
        ]
        return {"pieces": plain, "left": [numbers[link] for link, _, _ in exits]}

    known = of_configs(study.points, "branches", find)
    pieces: list[Piece] = []
    for link, step, overrides, before, tokens in known["pieces"]:
        pieces.append(Piece(Path(link), step, tuple(overrides), None if before is None else pieces[before], tokens))
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
    """(link of its piece, LR factors of the steps before the final decay, configuration) of a point. UserError."""
    import numpy as np  # here, since `cptlab status` loads nothing heavy

    schedule, point = config.lr_schedule, " ".join(own(study.points, number))
    if not schedule.end:
        why = (
            "at constant LR every shorter budget is a row of the longest run; give that one alone and drop branches"
            if schedule.is_constant
            else f"with lr_schedule={schedule.variant_name} the LR of every step depends on the length of the run; take"  # type: ignore[attr-defined]
            " wsd, trapezoid or infinite, or drop branches"
        )
        raise UserError(f"{study.file}: branches: {why}")
    if config.branch.run or config.stream:
        raise UserError(f"{study.file}: branches makes branches of its own; drop branch.run and stream ({point})")
    step = min(schedule.shared_steps(config.tokens_per_step, config.tokens_total), config.steps - 1)
    if step < 1:
        raise UserError(f"{study.file}: branches: {point} decays from its first step; shorten the decay")
    factors = schedule.factor(np.arange(1.0, step + 1) * config.tokens_per_step, config.tokens_total)
    kept = sorted(text for text in study.points[number] if not text.startswith(OWN))
    digest = hashlib.sha256(json.dumps([kept, factors.tolist()]).encode()).hexdigest()[:12]
    return runs_folder(study.points[number]) / ".trunks" / digest, factors, config


def pieces_of(study: Study, exits: list[tuple[Path, np.ndarray, TrainConfig]]) -> list[Piece]:
    """One a link, each after the longest piece with the same beginning."""
    import numpy as np

    found: dict[Path, Piece] = {}
    shorter: dict[tuple[str, ...], list[tuple[np.ndarray, Piece]]] = {}  # by what points of one trunk have in common
    for i in sorted(range(len(exits)), key=lambda i: len(exits[i][1])):
        link, factors, config = exits[i]
        if link in found:
            continue
        same = shorter.setdefault(tuple(sorted(text for text in study.points[i] if not text.startswith(OWN))), [])
        before = [piece for theirs, piece in same if np.array_equal(theirs, factors[: len(theirs)])]
        overrides = (
            *(text for text in study.points[i] if not text.startswith("tokens=")),
            f"lr_schedule.{config.lr_schedule.end}=0", f"tokens={len(factors) * config.tokens_per_step}",
            "checkpoint.keep=1", "checkpoint.keep_finished=true", "evaluation.points=1", "save_model=false",
            f"runs={link.parent}",
        )  # fmt: skip
        piece = Piece(link, len(factors), overrides, before[-1] if before else None, config.tokens_per_step)
        found[link] = piece
        same.append((factors, piece))
    return list(found.values())
