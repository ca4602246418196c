"""`branches: true` in a study: steps that its points share, up to their final decay, are trained once.

With WSD, a trapezoid or the infinite schedule, runs of every length have one LR until their final decay. So each point
leaves a trunk, the same schedule without a decay, where its decay begins (`branch.run`), and equals its whole run bit
by bit. A trunk is trained in pieces, each to one exit and each a branch of the piece before, so that a longer budget
adds a piece and leaves all others as they are. Pieces lie in `<runs>/.trunks/`.

At constant LR the shorter points are themselves what longer ones go on from: each keeps its last checkpoint, and
`.trunks/` has links to them.
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
from cptlab.sweeps.pieces import KEPT, Piece, pieces_left, with_those_before
from cptlab.sweeps.preflight import check_points
from cptlab.sweeps.settled import settled, whole_runs
from cptlab.sweeps.study import Study


@dataclass(frozen=True, kw_only=True)
class Trunks(Bases):
    """Pieces that what comes next starts from. study: they are its points; whole: the study's points, not branched;
    left: of each of those the piece that it leaves or is, None where it stays whole."""

    study: Study
    pieces: tuple[Piece, ...]
    whole: tuple[tuple[str, ...], ...]
    left: tuple[Piece | None, ...]

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

        before = self.study.bases
        if not isinstance(before, Trunks):  # the first pieces; training those after them makes these
            if before and before.missing():
                before.make(train)
            for point in check_points([list(point) for point in self.whole]):
                refuse_other_order(point.config, point.stream)
        todo = {tuple(piece.all_overrides): piece for piece in self.pieces if not piece.is_there}
        if not todo and before and before.missing():
            before.make(train)
        for point, run in train(replace(self.study, points=list(map(list, todo)))) if todo else []:
            piece = todo[tuple(point)]
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

    Composes points once (index.py), and opens none as long as none is trained. UserError where the points cannot be
    branches.
    """
    if not study.branches:
        return study
    left = pieces_left(study)
    left = settled(left, whole := whole_runs(study, left))
    stays = [run is not None and not piece.is_point for run, piece in zip(whole, left, strict=True)]
    pieces = with_those_before([piece for piece, stay in zip(left, stays, strict=True) if not stay])
    followed = Counter(piece.before.link for piece in pieces if piece.before)
    leaving = followed + Counter(piece.link for piece, stay in zip(left, stays, strict=True) if not stay)
    alone = [
        stay or not (piece.is_point or piece.before or piece.is_there or leaving[piece.link] > 1)
        for piece, stay in zip(left, stays, strict=True)
    ]  # finished whole, or off a trunk that nothing shares
    if all(alone) and not any(stays):
        raise UserError(
            f"{study.file}: branches needs points that differ in tokens or in their final decay alone, e.g. budgets:"
            " [1e6, 4e6]"
        )
    gone = {piece.link for piece, one, stay in zip(left, alone, stays, strict=True) if one and not stay}
    kept = [piece for piece in pieces if piece.link not in gone and (followed[piece.link] or not piece.is_point)]
    bases: Bases | None = study.bases
    for depth in range(max((piece.depth + 1 for piece in kept), default=0)):
        level = tuple(piece for piece in kept if piece.depth == depth)
        name = f"{study.name} trunks" + (f", piece {depth + 1}" if depth else "")
        points = [piece.all_overrides for piece in level]
        stem = replace(study, name=name, points=points, law=(), question=(), branches=False, bases=bases)
        ends = tuple(None if one else piece for piece, one in zip(left, alone, strict=True))
        bases = Trunks(study=stem, pieces=level, whole=tuple(map(tuple, study.points)), left=ends)
    waits = isinstance(bases, Trunks) and bool(bases.missing())
    earlier = {piece.link for piece in kept if waits and piece.is_point}  # shown and trained as pieces
    points = [branched(point, piece, one) for point, piece, one in zip(study.points, left, alone, strict=True)
              if piece.link not in earlier]  # fmt: skip
    return replace(study, points=points, bases=bases, branches=False)


def branched(point: list[str], piece: Piece, alone: bool) -> list[str]:
    """Overrides of a point that leaves the piece or is it."""
    if alone:
        return point
    return [*point, KEPT, *piece.leaves] if piece.is_point else [*point, *piece.branch]


def standing(study: Study) -> Study:
    """The study without the points whose trunk failed."""
    if not isinstance(study.bases, Trunks):
        return study
    gone = {piece.branch[0] for piece in study.bases.all_pieces() if not piece.is_there}
    return replace(study, points=[point for point in study.points if not gone & set(point)])


def saving(study: Study) -> str:
    """'3 trunks and 12 branches: 1.2e+12 FLOPs, 46 % of 12 whole runs' of a branched study. Opens what it plans."""
    assert isinstance(study.bases, Trunks)
    roots = {piece.link for piece in study.bases.all_pieces() if not piece.before}
    whole = planned_points([list(point) for point in study.bases.whole])
    pieces: dict[Path, tuple[Piece, float]] = {}  # with FLOPs a token
    spent, branches = 0.0, 0
    for planned, piece in zip(whole, study.bases.left, strict=True):
        leaves = piece.before if piece and piece.is_point else piece
        spent += replace(planned, left_at=leaves.step if leaves else 0).flops
        branches += leaves is not None
        while leaves:
            pieces[leaves.link] = leaves, planned.flops_per_token
            leaves = leaves.before
    for piece, rate in pieces.values():
        if not piece.is_point:  # those are among the points
            spent += rate * (piece.step - (piece.before.step if piece.before else 0)) * piece.tokens_per_step
    return (
        f"{_counted(len(roots), 'trunk')} and {_counted(branches, 'branch')}: {spent:.2e} FLOPs,"
        f" {spent / sum(point.flops for point in whole):.0%} of {_counted(len(whole), 'whole run')}"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("es" if noun.endswith("ch") else "s") * (number != 1)
