"""Held-out protocols: which rows each leaves out. Those of the D-CPT paper (arXiv 2406.01375) and three harder ones.

`ratio`: each interior share in turn, pooled; of several corpora: each mixture in turn, in at most ten folds.
`ratio_ends`: the two end shares in turn, an extrapolation.
`tokens`: the last third of the token range. `token_segments`: three contiguous segments of the checkpoints, each
left out in turn; the first and the last are extrapolations.
`size`: the largest size, only with four sizes or more, since three do not identify E + A/N^alpha with one held
out. `size_folds`: three folds over the sizes, every third one left out, or each size in turn where three or four
were measured.

Whole runs are held out, but for the two over tokens. A protocol is absent where what it keeps cannot identify the
law: the paper's own three sizes leave two, too few for E, A and alpha.
"""

from collections.abc import Callable, Iterable

import numpy as np

from cptlab.fitting.baselines import Mask
from cptlab.fitting.demands import count_levels
from cptlab.fitting.holdout import mixtures, share_levels
from cptlab.fitting.scope import is_share
from cptlab.laws.base import Law
from cptlab.records.observations import Observations

FOLDS = 10  # of `ratio` where a law reads the shares of several corpora
THIRDS = 3
Plan = dict[str, list[Mask]]
Planner = Callable[[Law, Observations], Plan]


def protocols(law: Law, rows: Observations) -> Plan:
    """Protocol -> folds, masks (n,) of the rows left out; a protocol that the data cannot bear is absent."""
    return bearable(law, rows, folds_over(rows, law.inputs))


def folds_over(rows: Observations, axes: Iterable[str]) -> Plan:
    """The folds of every protocol over some columns: one share or several, tokens, num_params."""
    axes = list(axes)
    plan: Plan = _over_shares(rows, [name for name in axes if is_share(name)])
    if "tokens" in axes:
        tokens = rows["tokens"]
        plan["tokens"] = [tokens > tokens.max() - (tokens.max() - tokens.min()) / THIRDS]
        plan["token_segments"] = [
            np.isin(tokens, segment) for segment in np.array_split(np.unique(tokens), THIRDS) if len(segment)
        ]
    if "num_params" in axes:
        size, sizes = rows["num_params"], np.unique(rows["num_params"])
        folds = len(sizes) if len(sizes) < 5 else THIRDS
        plan["size"] = [size == sizes[-1]]
        plan["size_folds"] = [np.isin(size, sizes[fold::folds]) for fold in range(folds)]
    return plan


def _over_shares(rows: Observations, names: list[str]) -> Plan:
    if len(names) > 1:
        mixture = mixtures(rows, names)
        if mixture.max() > len(names):
            return {"ratio": [mixture % FOLDS == fold for fold in range(min(FOLDS, int(mixture.max()) + 1))]}
    elif names:
        level = share_levels(rows, names[0])
        last = int(level.max())
        return {"ratio": [level == value for value in range(1, last)], "ratio_ends": [level == 0, level == last]}
    return {}


def bearable(law: Law, rows: Observations, plan: Plan) -> Plan:
    """The protocols of a plan of which every fold, where it holds any row, leaves enough to identify the law."""
    have = count_levels(law, rows)
    unknown = {p for name, levels in law.levels.items() if have[name] == 1 for p in levels.parameters}
    least = len(law.parameters) - len(unknown) + 1
    kept = {name: [fold for fold in folds if fold.any()] for name, folds in plan.items()}
    return {
        name: folds
        for name, folds in kept.items()
        if folds and all((~fold).sum() >= least and _identifies(law, rows.where(~fold), have) for fold in folds)
    }


def _identifies(law: Law, kept: Observations, have: dict[str, int]) -> bool:
    """Whether every input keeps the levels that the law wants (of a share: needs), or all that there are."""
    left = count_levels(law, kept)
    return all(
        left[name] >= min(have[name], levels.needed if is_share(name) else max(levels.needed, levels.wanted))
        for name, levels in law.levels.items()
    )
