"""Points -> W&B parameters. A W&B grid is a product of axes, so a list of points is cut into products."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cptlab.errors import UserError

Block = dict[str, tuple[str, ...]]  # key -> its values, in override grammar


def settings(point: Sequence[str]) -> dict[str, str]:
    """['a=1', '++b.c=x'] -> {'a': '1', '++b.c': 'x'}; the last of several counts. UserError for what W&B cannot say."""
    for override in point:
        if "=" not in override:
            raise UserError(f"{override} has no value, and a W&B sweep hands out key=value only; write it out in full")
    return {key: value for key, _, value in (each.partition("=") for each in point)}


def blocks(points: Iterable[Sequence[str]]) -> list[Block]:
    """Disjoint products that together are the points: one for a full grid, at most one a point.

    Axis by axis, blocks that differ in that axis alone are joined.
    """
    found: list[Block] = [{key: (value,) for key, value in settings(point).items()} for point in points]
    for key in dict.fromkeys(key for block in found for key in block):
        joined: dict[tuple, Block] = {}
        for block in found:
            others = tuple(sorted((k, v) for k, v in block.items() if k != key)), key in block
            before = joined.get(others)
            if before and key in block:
                before[key] = tuple(dict.fromkeys(before[key] + block[key]))
            else:
                joined[others] = dict(block)
        found = list(joined.values())
    return found


def span(points: Sequence[Sequence[str]]) -> Block:
    """Every value of every key, for a search between the points. UserError unless all points have the same keys."""
    named = [settings(point) for point in points]
    for other in named:
        if odd := sorted(other.keys() ^ named[0].keys()):
            raise UserError(
                f"a search needs the same keys in every point, but {odd[0]} is not in all; use --method grid"
            )
    return {key: tuple(dict.fromkeys(point[key] for point in named)) for key in named[0]}


def plain(text: str) -> int | float | str:
    """A value as YAML should hold it: a number where Hydra reads one, so that W&B's charts have an axis."""
    if re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return int(text)
    if re.fullmatch(r"-?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", text):
        return float(text)
    return text
