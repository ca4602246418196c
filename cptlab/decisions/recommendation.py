"""What a decision returns: a choice with its interval, or the reason why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions import frames

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

VERDICTS = ("run", "measure_first", "abstain")


@dataclass(frozen=True)
class Curves:
    """Predicted losses against the domain share, at the size and tokens of the question.

    share: (m,) domain share, rising, in [0, 1].
    loss: corpus name -> (3, m) [nat/token]: lower end, point fit and upper end at the level of the interval.
    allowed: corpus name -> highest loss that the question allows [nat/token]; absent where it sets no limit.
    support: (lowest, highest) measured domain share.
    num_params, tokens: where the curves are drawn.
    """

    share: Array
    loss: Mapping[str, Array]
    allowed: Mapping[str, float]
    support: tuple[float, float]
    num_params: float
    tokens: float


@dataclass(frozen=True)
class Profile:
    """Predicted losses through the choice, along a quantity that is no share, everything else as the question ties it.

    axis: its column name. values: (m,) rising. loss: corpus -> (3, m) [nat/token], as in Curves. allowed: as in
    Curves. geometric: whether it is drawn on a logarithmic axis.
    """

    axis: str
    values: Array
    loss: Mapping[str, Array]
    allowed: Mapping[str, float]
    geometric: bool


@dataclass(frozen=True, repr=False)
class Recommendation:
    """The answer to a question.

    verdict: `run` (train the choice), `measure_first` (the choice is a guess: do `next_runs` before), or
        `abstain` (the fits allow no answer; `choice` is empty).
    choice: quantity -> value ("domain_share", "num_params", "tokens", "peak_lr") or name ("schedule"); empty when the
        verdict is `abstain` and for a question that chooses nothing.
    interval: name of a chosen quantity -> (low, high) over the paired draws; empty without a choice.
    level: coverage of every interval here, in (0, 1).
    predicted: corpus -> (low, mid, high) loss at the choice [nat/token].
    base_loss: corpus -> loss of the base before the first update [nat/token].
    binding: what stops a better choice, in words.
    extrapolation: one sentence for each quantity outside the measured range; empty inside it.
    because: why this verdict, a sentence or more.
    next_runs: overrides of train.py, one dict a run, that would narrow the answer most.
    question: the question's fields, with `variant`.
    command: the exact train.py command of the choice; None where no run record tells it.
    curves: losses against the domain share through the choice; None where the share is not chosen.
    profile: losses against another chosen quantity; None where only shares are chosen.
    table: one dict a row of what was asked (points, schedules): inputs, then `<corpus>`, `<corpus>_low`,
        `<corpus>_high` [nat/token]; empty where the question has none.
    """

    verdict: str
    choice: Mapping[str, Any]
    interval: Mapping[str, tuple[float, float]]
    level: float
    predicted: Mapping[str, tuple[float, float, float]]
    base_loss: Mapping[str, float]
    binding: str
    extrapolation: list[str]
    because: str
    next_runs: list[dict[str, Any]]
    question: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None
    curves: Curves | None = None
    profile: Profile | None = None
    table: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}; it must be one of {', '.join(VERDICTS)}")

    def to_json(self) -> dict[str, Any]:
        """The content of recommendation.json: every field but what is drawn; no number is NaN or infinite."""
        names = ("verdict", "choice", "interval", "level", "predicted", "binding", "extrapolation", "because")
        names += ("next_runs", "base_loss", "question", "command")
        names += ("table",) if self.table else ()
        return {name: _plain(getattr(self, name)) for name in names}

    def write(self, path: Path) -> None:
        """Write recommendation.json."""
        path.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def to_frame(self) -> pd.DataFrame:
        """Chosen quantities, then `loss_<corpus>` at the choice: `value, low, high, unit`, of losses `base, change`.

        change is a fraction of the base loss; NaN where nothing is known. Without a choice only the losses.
        """
        return frames.answer(self)

    def table_frame(self) -> pd.DataFrame:
        """`table`, one row a point or schedule that was asked for; empty where the question has none."""
        return frames.table(self)

    def __repr__(self) -> str:
        return frames.short(self)

    def _repr_html_(self) -> str:
        return frames.html(self)


def _plain(value: Any) -> Any:
    """Builtin types only; a number that is not finite becomes None (JSON has neither NaN nor infinity)."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
