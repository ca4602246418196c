"""Whether `regularizer=kl_to_base` meets a row to compare on in the order of a run; without one it would cost only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cptlab.data.stretch import CHUNK_STEPS
from cptlab.errors import UserError
from cptlab.regularizers.kl_to_base import KLToBase

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.data.stream import TokenStream


def refuse_nothing_compared(config: TrainConfig, stream: TokenStream) -> None:
    """UserError where the KL would lie on no row of the run. What is decided while it trains is taken at its most."""
    regularizer, general = config.regularizer, config.data.general
    if not isinstance(regularizer, KLToBase) or regularizer.rows == "all":
        return
    if regularizer.rows == "general" and general not in stream.names:  # refused with the data
        return
    if not meets(config, stream, regularizer.rows):
        mend = (
            "raise the share of replay" if regularizer.rows == "replayed" else f"give the mixture a share of {general}"
        )
        raise UserError(
            f"regularizer=kl_to_base compares with the base on {regularizer.rows} rows, and none of the {stream.steps}"
            f" steps trains on one; {mend}, or set regularizer.rows=all"
        )


def meets(config: TrainConfig, stream: TokenStream, rows: str) -> bool:
    """Whether a step trains, or may come to train, on a row of that kind. Counted up to the first of them."""
    table, planned, replay = stream.table, stream.planned_steps, config.replay
    g = stream.names.index(config.data.general) if rows == "general" else -1
    sources = [g, -1] if g >= 0 and table.replay_corpus == g and replay.trains_on_rows else [g]
    if table.shares[0:planned][:, sources].any():
        for start in range(0, planned, CHUNK_STEPS):
            if table.counts(start, min(start + CHUNK_STEPS, planned))[:, sources].any():
                return True
    if planned < stream.steps:
        u = (np.arange(planned, stream.steps) + 1.0) / stream.steps
        drawn = config.mixture.bounds(u, stream.names, config.data.general)[1][:, g].any() if g >= 0 else False
        if drawn or (-1 in sources and replay.bounds(u)[1].any()):
            return True
    of_stages_before = g >= 0 and stream.seen_before > 0 and replay.trains_on_rows  # which the buffer holds
    return bool(of_stages_before and stream.replayed[:, g].any())
