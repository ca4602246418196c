"""Item scores of two models, as files -> win, tie or loss of each task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cptlab.errors import UserError, closest
from cptlab.metrics.item_scores import read_scores, same_items
from cptlab.metrics.paired import Verdict, compare_tasks


def verdicts_of(
    base_path: Path, adapted_path: Path, metric: str = "", lower_is_better: Sequence[str] = (), level: float = 0.95,
    num_draws: int = 10_000,
) -> list[Verdict]:  # fmt: skip
    """Of files or folders as `read_scores` takes them. UserError unless both models answered the same items.

    lower_is_better: tasks beside those of lm_eval whose metric says so by its name. level: of the interval of a gain.
    """
    (base, lower), (adapted, _) = (read_scores(path, metric) for path in (base_path, adapted_path))
    if len(base) == len(adapted) == 1 and base_path.is_file() and adapted_path.is_file():
        adapted = {next(iter(base)): next(iter(adapted.values()))}  # the task need not be named where there is one
    same_items(base, adapted)
    if unknown := [name for name in lower_is_better if name not in base]:
        raise UserError(f"--lower-is-better {unknown[0]} is no task of {base_path}.{closest(unknown[0], base)}")
    return compare_tasks(base, adapted, sorted(lower | set(lower_is_better)), level, num_draws)
