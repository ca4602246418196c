"""Whether a run with `agem` or `gem` has rows of the mixture in every step and replayed ones in some.

`replay.check_run` answers before corpora are built, from the share of rows. Where rows are padded shares are those of
tokens, so that only the order itself tells how many rows of each kind a step has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cptlab.data.stretch import CHUNK_STEPS
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.data.stream import TokenStream


def refuse_unlike_rows(config: TrainConfig, stream: TokenStream) -> None:
    """UserError where a planned step has replayed rows alone, or the whole run none, and they are not trained on."""
    if config.replay.trains_on_rows:
        return
    table, planned, name = stream.table, stream.planned_steps, config.replay.variant_name  # type: ignore[attr-defined]
    share = float(table.shares[0:planned][:, -1].max(initial=0.0))
    certain, replays = always_fresh(stream, share), False
    for start in range(0, planned, CHUNK_STEPS):
        if certain and replays:
            return
        counts = table.counts(start, min(start + CHUNK_STEPS, planned))
        alone = np.flatnonzero(counts[:, -1] == stream.rows_per_step)
        if len(alone):
            raise UserError(
                f"replay={name}: step {start + alone[0] + 1} of {stream.steps} would have no row of the mixture to"
                f" learn from, only replayed ones (replay.replay_share={share:g}, rows_per_step={stream.rows_per_step},"
                f" data.packing={config.data.packing}); lower the share, or give more rows a step"
            )
        replays |= bool(counts[:, -1].any())
    if not replays and planned == stream.steps:
        raise UserError(
            f"replay={name}: none of the {stream.steps} steps replays a row, so no gradient would be changed; raise"
            " replay.replay_share, or use replay=none"
        )


def always_fresh(stream: TokenStream, share: float) -> bool:
    """Whether a step cannot be filled by replayed rows, whatever the order; False where only the order tells.

    Replay is owed half a row and what the step before had beyond its mean, and is given the rows nearest to its due:
    of tokens less than 1 + share * rows * (1 + the spread of mean fills) full rows.
    """
    table, rows = stream.table, stream.rows_per_step
    if not table.padded:  # of two sources each step has the nearest whole rows, so that check_run is exact
        return int(np.count_nonzero(table.shares[0 : stream.planned_steps].any(axis=0))) <= 2
    fills = [each.mean_fill for each in table.rows]  # type: ignore[attr-defined]
    most = 1 + share * rows * (1 + max(fills) - min(fills))
    if table.replay_corpus < 0:
        return most < rows * sum(fills) / len(fills)
    source = table.rows[table.replay_corpus]
    if stream.draws[table.replay_corpus].size < rows:
        return False
    half = -(-rows // 2)  # the end of an epoch and the start of the next may hold the same rows
    emptiest = np.partition(source.fill(np.arange(len(source))), half - 1)[:half].sum() / stream.sequence_length
    return most < 2 * float(emptiest) - 1
