"""What sets the points of a study apart, as columns of a table: one a key that not all points set alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

OWN = ("branch.", "checkpoint.")  # settings that follow from others


def axes_of(points: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """(names of the columns, the values of each point). points: overrides; "" where a point does not set a key.

    A name is the last part of its key, `domain_share`, or the whole key where two keys end alike.
    """
    settings = [dict(each.lstrip("+").split("=", 1) for each in point if "=" in each) for point in points]
    every = list(dict.fromkeys(key for point in settings for key in point if not key.startswith(OWN)))
    keys = [key for key in every if len({point.get(key) for point in settings}) > 1]
    ends = Counter(key.rpartition(".")[2] for key in keys)
    names = [end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys]
    return names, [[point.get(key, "") for key in keys] for point in settings]
