"""`branches: true` in a study: steps that its points share, up to their final decay, are trained once.

With WSD, a trapezoid or the infinite schedule, runs of every length have one LR until their final decay. So each point
leaves a trunk, the same schedule without a decay, where its decay begins (`branch.run`), and equals its whole run bit
by bit. A trunk is trained in pieces, each to one exit and each a branch of the piece before, so that a longer budget
adds a piece and leaves all others as they are. Pieces lie in `<runs>/.trunks/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cptlab.errors import UserError
from cptlab.records.run import RunFolder
from cptlab.sweeps.bases import Bases, link_to
from cptlab.sweeps.index import planned_points
from cptlab.sweeps.pieces import Piece, pieces_left, with_those_before
from cptlab.sweeps.preflight import check_points
from cptlab.sweeps.study import Study


@dataclass(frozen=True, kw_only=True)
class Trunks(Bases):
    """Pieces that what comes next starts from. study: they are its points; whole: the study's points, not branched."""

    study: Study
    pieces: tuple[Piece, ...]
    whole: tuple[tuple[str, ...], ...]

    def folders(self) -> list[Path]:
        """The links."""
        return [piece.link for piece in self.pieces]

    def missing(self) -> list[Path]:
        """Links of pieces that are not there, and what they start from themselves."""
        before = self.study.bases.missing() if self.study.bases else []
        return before + [piece.link for piece in self.pieces if not piece.is_there]

    def make(self, train: Callable[[Study], list[tuple[list[str], Path]]]) -> None:
        """Train them, after what they start from, once it is known that the points can be branches.

        A piece that fails leaves its branches without a trunk; the others go on.
        """
        from cptlab.training.branch import refuse_other_order

        if not isinstance(self.study.bases, Trunks):  # the first pieces; training those after them makes these
            if self.study.bases and self.study.bases.missing():
                self.study.bases.make(train)
            for point in check_points([list(point) for point in self.whole]):
                refuse_other_order(point.config, point.stream)
        links = {tuple(point): piece for point, piece in zip(self.study.points, self.pieces, strict=True)}
        for point, run in train(self.study):
            piece = links[tuple(point)]
            if RunFolder(run).is_finished:
                link_to(piece.link, run)
                if not piece.is_there:
                    raise UserError(f"{run} lost its checkpoint at step {piece.step}; delete the folder and go on")

    @property
    def how(self) -> str:
        """What makes them."""
        return f"cptlab sweep {self.study.file}"

    def next_study(self) -> Study:
        """The pieces that are trained next."""
        before = self.study.bases
        return before.next_study() if isinstance(before, Trunks) and before.missing() else self.study

    def all_pieces(self) -> list[Piece]:
        """With those before."""
        before = self.study.bases
        return [*(before.all_pieces() if isinstance(before, Trunks) else []), *self.pieces]


def with_branches(study: Study) -> Study:
    """The study with its points as branches and their trunks as its bases; as it is where it has no `branches: true`.

    Opens no point, and composes them once (index.py). UserError where the points cannot be branches.
    """
    if not study.branches:
        return study
    left = pieces_left(study)
    pieces = with_those_before(left)
    shared = Counter(piece.before.link for piece in pieces if piece.before)
    shared.update(piece.link for piece in left)
    alone = [piece.before is None and shared[piece.link] == 1 for piece in left]  # a trunk that nothing shares
    if all(alone):
        raise UserError(
            f"{study.file}: branches needs points that differ in tokens or in their final decay alone, e.g. budgets:"
            " [1e6, 4e6]"
        )
    gone = {piece.link for piece, one in zip(left, alone, strict=True) if one}
    kept = [piece for piece in pieces if piece.link not in gone]
    bases: Bases | None = study.bases
    for depth in range(max(piece.depth for piece in kept) + 1):
        level = tuple(piece for piece in kept if piece.depth == depth)
        points = [[*piece.overrides, *(piece.before.branch if piece.before else [])] for piece in level]
        name = f"{study.name} trunks" + (f", piece {depth + 1}" if depth else "")
        stem = replace(study, name=name, points=points, law=(), question=(), branches=False, bases=bases)
        bases = Trunks(study=stem, pieces=level, whole=tuple(map(tuple, study.points)))
    points = [point if one else [*point, *piece.branch]
              for point, piece, one in zip(study.points, left, alone, strict=True)]  # fmt: skip
    return replace(study, points=points, bases=bases, branches=False)


def standing(study: Study) -> Study:
    """The study without the points whose trunk failed."""
    if not isinstance(study.bases, Trunks):
        return study
    gone = {f"branch.run={link}" for link in study.bases.missing()}
    return replace(study, points=[point for point in study.points if not gone & set(point)])


def saving(study: Study) -> str:
    """'3 trunks and 12 branches: 1.2e+12 FLOPs, 46 % of 12 whole runs' of a branched study. Opens what it plans."""
    assert isinstance(study.bases, Trunks)
    pieces = {piece.link: piece for piece in study.bases.all_pieces()}
    whole = planned_points([list(point) for point in study.bases.whole])
    rates: dict[Path, float] = {}
    spent, branches = 0.0, 0
    for point, planned in zip(study.points, whole, strict=True):
        link = next((Path(text.removeprefix("branch.run=")) for text in point if text.startswith("branch.run=")), None)
        spent += replace(planned, left_at=pieces[link].step if link else 0).flops
        branches += link is not None
        while link:
            rates[link] = planned.flops_per_token
            before = pieces[link].before
            link = before.link if before else None
    for link, rate in rates.items():
        piece = pieces[link]
        spent += rate * (piece.step - (piece.before.step if piece.before else 0)) * piece.tokens_per_step
    roots = sum(piece.before is None for piece in pieces.values())
    return (
        f"{_counted(roots, 'trunk')} and {_counted(branches, 'branch')}: {spent:.2e} FLOPs,"
        f" {spent / sum(point.flops for point in whole):.0%} of {_counted(len(whole), 'whole run')}"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("es" if noun.endswith("ch") else "s") * (number != 1)
