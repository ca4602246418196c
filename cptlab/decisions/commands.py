"""The train.py command of a choice or of a next run, from the overrides of the nearest recorded run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptlab.decisions.next_runs import MIXTURES, OVERRIDES, overrides_of, train_command
from cptlab.records.source import Source


def command_of(source: Source, run: Mapping[str, Any]) -> str | None:
    """One line for a shell; None where no record tells how such a run is made, or the run tells no mixture.

    run: a choice (names of `cptlab.units`) or an entry of `next_runs` (overrides of train.py).
    """
    sizes = {name: num_params for num_params, name in source.sizes().items()}
    num_params, tokens = run.get("num_params", sizes.get(run.get("model.size", ""))), run.get("tokens")
    recorded = source.overrides(num_params, tokens) if num_params and tokens else None
    changes = overrides_of(run) | {key: x for key, x in run.items() if key in MIXTURES | set(OVERRIDES.values())}
    changes |= {"tokens": tokens}
    if recorded is None or not changes.keys() & MIXTURES:
        return None
    kept = [text for text in recorded if text.lstrip("+~").partition("=")[0] not in MIXTURES]
    mixture_first = dict(sorted(changes.items(), key=lambda change: change[0] not in MIXTURES))
    return train_command(kept, mixture_first)
