"""A table of candidates, and the pick of the best one that meets every limit, for many curves at once.

Every question is candidates + limits + an objective. Candidates lie in lines along one axis (domain shares, tokens
at one share, sizes at one share); a pick is refined between neighbours of its line, and between neighbouring lines
where these are ordered too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]
MOST = 100_000  # candidates of one question


@dataclass(frozen=True)
class Candidates:
    """m candidates, as lines of `length` neighbours along `axis`.

    columns: quantity -> (m,) value of each candidate. axis: the quantity that runs fastest, rising.
    across: the quantity that orders the lines, '' where lines have no order.
    geometric: quantities that are interpolated in their logarithm.
    labels: name -> (m,) words, for choices that are no numbers.
    resolution: step of the shares where they are not refined between candidates; intervals are widened by it.
    follows: chosen quantities that follow from the others (tokens of a compute budget), so that an end of theirs is no
        news.
    hidden: quantities that follow from the others and are no part of the choice.
    listed: whether a user listed the values, so that an end of the list needs no remark.
    fallback: what a draw counts as in which no candidate meets the limits; without an entry it counts as no answer.
    """

    columns: Mapping[str, Array]
    axis: str
    length: int
    across: str = ""
    geometric: frozenset[str] = frozenset()
    labels: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    fallback: Mapping[str, float] = field(default_factory=dict)
    resolution: float = 0.0
    follows: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    listed: bool = False

    def __len__(self) -> int:
        return len(self.columns[self.axis])

    @property
    def varied(self) -> list[str]:
        """The chosen quantities that differ between candidates."""
        return [name for name, x in self.columns.items() if name not in self.hidden and np.ptp(x) > 0]

    def ends(self, name: str) -> tuple[float, float]:
        """Lowest and highest candidate value."""
        return float(self.columns[name].min()), float(self.columns[name].max())

    def line(self, number: int) -> slice:
        """The candidates of one line."""
        return slice(number * self.length, (number + 1) * self.length)


@dataclass(frozen=True)
class Limit:
    """A condition, met where excess <= 0.

    words: what it is, for sentences. excess: (..., m) or (m,) by how much it is broken. role: whose loss it limits
    [nat/token], '' for a limit on something else. allowed: highest loss allowed, where it is one number.
    """

    words: str
    excess: Array
    role: str = ""
    allowed: float | None = None


@dataclass(frozen=True)
class Picked:
    """The best candidates. Shapes (...,) of the curves.

    values: quantity -> chosen value, NaN where no candidate meets the limits. objective: its value there, inf where
    none does. index: flat index of the nearest candidate. is_interval: whether the candidates of the chosen line
    that meet the limits are one piece without a gap.
    """

    values: Mapping[str, Array]
    objective: Array
    index: Index
    is_interval: Mask

    @property
    def met(self) -> Mask:
        """Whether some candidate meets the limits."""
        return np.isfinite(self.objective)


def grid(axes: Mapping[str, Array], **options: Any) -> Candidates:
    """All combinations of one-dimensional axes; the last runs fastest and is refined, two make ordered lines."""
    size = int(np.prod([len(values) for values in axes.values()]))
    if size > MOST:
        raise UserError(f"the question has {size} candidates ({', '.join(axes)}); ask about {MOST} or fewer")
    names = list(axes)
    columns = [x.ravel() for x in np.meshgrid(*axes.values(), indexing="ij")]
    across = names[0] if len(names) == 2 else ""
    table = dict(zip(names, columns, strict=True))
    return Candidates(table, names[-1], len(axes[names[-1]]), across=across, **options)


def pick(candidates: Candidates, objective: Array, excesses: Sequence[Array]) -> Picked:
    """Lowest objective (..., m) where all excesses are <= 0; of equal ones the last candidate.

    Refined where a limit stops a falling objective (linear crossing between two neighbours) and at an inner minimum
    (parabola through three neighbours).
    """
    lead = objective.shape[:-1]
    shape = (-1, len(candidates) // candidates.length, candidates.length)
    f = objective.reshape(shape)
    e = [np.broadcast_to(excess, objective.shape).reshape(shape) for excess in excesses]
    met = np.isfinite(f)
    for excess in e:
        met = met & (excess <= 0)
    with np.errstate(invalid="ignore"):
        best = _last_argmin(np.where(met, f, np.inf))
        offset, value = _refine(f, e, met, best)
        line = _last_argmin(value)
        here = np.arange(len(value)), line
        aside = _vertex(value, line, np.isfinite(value))[0] if candidates.across else np.zeros(len(value))
        values = {
            name: np.where(
                np.isfinite(value[here]), _between(column, name, candidates, best + offset, line, aside), np.nan
            )
            for name, column in candidates.columns.items()
        }
    pieces = (np.diff(met[here].astype(int), axis=-1, prepend=0) == 1).sum(axis=-1)
    return Picked(
        {name: x.reshape(lead) for name, x in values.items()},
        value[here].reshape(lead),
        (line * candidates.length + best[here]).reshape(lead),
        (pieces <= 1).reshape(lead),
    )


def _refine(f: Array, e: Sequence[Array], met: NDArray[np.bool_], best: Index) -> tuple[Array, Array]:
    """Offset in (-1, 1) from the best candidate of each line, and the objective there (inf where none is met)."""
    offset, (step, gain) = np.zeros(best.shape), _vertex(f, best, met)
    value = _at(f, best) - gain
    for side in (1, -1):
        other = np.clip(best + side, 0, f.shape[-1] - 1)
        stops = _at(met, best) & ~_at(met, other) & (_at(f, other) < _at(f, best))
        fraction = np.ones(best.shape)
        for excess in e:
            near, far = _at(excess, best), _at(excess, other)
            crosses = stops & (far > 0)
            crossing = np.where(crosses, -near, 1.0) / np.where(crosses, far - near, 1.0)
            fraction = np.minimum(fraction, crossing)
        fraction = np.where(stops, fraction, 0.0)
        offset = offset + side * fraction
        value = value + np.where(fraction > 0, fraction * (_at(f, other) - _at(f, best)), 0.0)
    return offset + step, np.where(met.any(axis=-1), value, np.inf)


def _vertex(f: Array, best: Index, met: Mask) -> tuple[Array, Array]:
    """Offset in [-.5, .5] of the parabola's minimum about an inner best candidate, and what it gains; else 0, 0."""
    last = f.shape[-1] - 1
    left, right = np.clip(best - 1, 0, last), np.clip(best + 1, 0, last)
    low, middle, high = _at(f, left), _at(f, best), _at(f, right)
    inner = (best > 0) & (best < last) & _at(met, left) & _at(met, right) & _at(met, best)
    curvature = np.where(inner, low - 2 * middle + high, 0.0)
    inner &= curvature > 0
    safe = np.where(inner, curvature, 1.0)
    lean = np.where(inner, low - high, 0.0)
    return np.clip(lean / (2 * safe), -0.5, 0.5), lean**2 / (8 * safe)


def _between(column: Array, name: str, candidates: Candidates, place: Array, line: Index, aside: Array) -> Array:
    """Value of a column at fractional places (b, lines), at line (b,) and `aside` of it towards a neighbour."""
    x = column.reshape(-1, candidates.length)
    x = np.log(x) if name in candidates.geometric else x
    left = np.clip(np.floor(place).astype(int), 0, max(candidates.length - 2, 0))
    right = np.minimum(left + 1, candidates.length - 1)
    rows, part = np.arange(len(x)), place - left
    along = (1 - part) * x[rows, left] + part * x[rows, right]
    along = np.where(part == 0, x[rows, left], along)
    other = np.clip(line + np.sign(aside).astype(int), 0, len(x) - 1)
    here, there = _at(along, line), _at(along, other)
    value = np.where(aside == 0, here, here + np.abs(aside) * (there - here))
    return np.exp(value) if name in candidates.geometric else value


def _last_argmin(f: Array) -> Index:
    return f.shape[-1] - 1 - np.argmin(f[..., ::-1], axis=-1)


def _at(values: NDArray[Any], index: Index) -> NDArray[Any]:
    """values (..., m) at index (...,)."""
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
