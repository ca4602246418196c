"""What a law demands of a table: enough distinct inputs and rows; what one value cannot tell is fixed."""

from collections.abc import Mapping

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.fitting.holdout import GAP, share_levels
from cptlab.fitting.objective import Problem
from cptlab.fitting.scope import is_share
from cptlab.laws.base import Law
from cptlab.records.observations import Observations


def count_levels(law: Law, rows: Observations) -> dict[str, int]:
    """Distinct values of each input; shares count as levels of whole runs."""
    counts = {name: len(np.unique(np.round(rows[name] / GAP) if is_share(name) else rows[name])) for name in law.inputs}
    if "share" in counts:
        counts["share"] = len(np.unique(share_levels(rows)))
    return counts


def folded_parameters(law: Law, counts: Mapping[str, int], fixed: Mapping[str, float]) -> dict[str, float]:
    """Parameters that one value of an input cannot tell, at 0 (coefficients) or mid-range (shapes)."""
    for name in fixed:
        if name not in law.parameter_names:
            raise UserError(f"fixed.{name} is no parameter of {law.variant_name}.{closest(name, law.parameter_names)}")
    names = [p for x, levels in law.levels.items() if counts[x] == 1 for p in levels.parameters if p not in fixed]
    return {p: 0.0 if p in law.linear else _middle(law, p) for p in names}


def _middle(law: Law, name: str) -> float:
    spec = law.shape[name]
    low, high = spec.start or (spec.low, spec.high)
    return float(np.sqrt(low * high)) if low > 0 else 0.5 * (low + high)


def refuse_too_little(law: Law, rows: Observations, counts: Mapping[str, int], problem: Problem) -> None:
    """Say how much more a law needs, and of what, where a table cannot determine it."""
    runs = len(set(rows.run.tolist()))
    what = f"{len(rows)} rows of {runs} runs cannot fit law={law.variant_name} ({len(law.parameters)} parameters"
    for name, levels in law.levels.items():
        if (missing := levels.needed - counts[name]) > 0:
            seen = np.round(rows[name], 3) if is_share(name) else rows[name]
            at = ", ".join(f"{x:.4g}" for x in np.unique(seen)[:4])
            raise UserError(
                f"{what}, needs at least {levels.needed} distinct values of {name}, there {_be(counts[name])}: {at}), "
                f"so {', '.join(levels.parameters) or name} cannot be known. Add {missing} "
                f"run{'s' * (missing > 1)} with another {name}."
            )
    free = int((problem.low < problem.high).sum())
    if (missing := free + 1 - len(rows)) > 0:
        raise UserError(
            f"{what}, {free} of them free, needs at least {free + 1} rows). Add {missing} "
            f"row{'s' * (missing > 1)}: more runs, or more checkpoints a run."
        )


def _be(count: int) -> str:
    return f"is {count}" if count == 1 else f"are {count}"
