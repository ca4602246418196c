"""What a short run tells of a domain, k1 and k2, and the pooled table of `dcpt_cross_domain`.

A domain is known to that law by two numbers alone, so a new domain costs one short run: about 1 % of a grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from cptlab.errors import UserError
from cptlab.fitting.table import Table, as_observations, with_share
from cptlab.laws.base import Array
from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations


@dataclass(frozen=True)
class Decline:
    """k1: loss before the first update [nat/token]. k2: mean decline an e-fold of tokens [nat/token]."""

    k1: float
    k2: float


def decline(table: Table, domain: str, until: float = inf) -> Decline:
    """k1 and k2 of a domain from the rows of a short run at its own share, up to `until` tokens.

    k1 is the loss at 0 tokens, else `base_loss`; k2 the negative slope of the loss on log tokens, by least
    squares over every later row (several runs share the slope, each with its own level).
    """
    rows = as_observations(table).of_domain(domain)
    if not len(rows):
        raise UserError(f"no row of domain {domain} and split fit in {rows.origin}; evaluate it in a short run.")
    tokens, loss = rows["tokens"], rows["loss"]
    if (start := tokens == 0).any():
        k1 = float(loss[start].mean())
    elif "base_loss" in rows.columns:
        k1 = float(rows["base_loss"].mean())
    else:
        raise UserError(
            f"domain {domain} has neither a row at 0 tokens nor base_loss; evaluate before the first update."
        )
    used = ~start & (tokens <= until)
    x, y = _within_runs(np.log(tokens[used]), rows.run[used]), _within_runs(loss[used], rows.run[used])
    if not (x**2).sum() > 0:
        raise UserError(
            f"domain {domain} has {int(used.sum())} rows up to {until:g} tokens; k2 needs two checkpoints of one run."
        )
    k2 = -float((x * y).sum() / (x**2).sum())
    if k2 < 0:
        raise UserError(
            f"the loss of domain {domain} rises by {-k2:.3g} nat an e-fold in the short run; k2 is a decline."
        )
    return Decline(k1, k2)


def pooled(table: Table, declines: Mapping[str, Decline], general: str = "general") -> dict[str, Any]:
    """The rows of all domains in `declines` as one table without a domain, with k1 and k2: one fit for all.

    A run counts once a domain, since each domain's losses go their own way.
    """
    rows = as_observations(table)
    parts = [_part(rows, name, found, general) for name, found in declines.items()]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _part(rows: Observations, domain: str, found: Decline, general: str) -> dict[str, Any]:
    mine = rows.of_domain(domain)
    mine = mine.where(mine["tokens"] > 0)
    if not len(mine):
        raise UserError(f"domain {domain} has no rows of split fit in {rows.origin}.")
    columns = with_share(mine.columns, DCPT(), domain, general)
    n = len(mine)
    return {
        **{name: columns[name] for name in ("loss", *DCPT.inputs)},
        "k1": np.full(n, found.k1), "k2": np.full(n, found.k2),
        "run": np.array([f"{run}|{domain}" for run in mine.run.tolist()]), "base_id": mine.base,
    }  # fmt: skip


def _within_runs(values: Array, run: np.ndarray) -> Array:
    """Values (n,) less the mean of their run."""
    _, which = np.unique(run, return_inverse=True)
    return values - (np.bincount(which, values) / np.maximum(np.bincount(which), 1))[which]
