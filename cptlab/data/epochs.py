"""How often a corpus may be repeated: `data.max_epochs`, refused or capped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream
    from cptlab.mixtures.base import Mixture

Array = NDArray[np.float64]


def limit_epochs(
    weights: Array, replayed: Array, names: list[str], sizes: list[int], given: NDArray[np.int64],
    rows_per_step: int, max_epochs: float, on_max_epochs: str,
) -> Array:  # fmt: skip
    """Weights (k, num_corpora) of the next k steps under which no corpus is passed over more than `max_epochs` times.

    weights: shares of a block that the mixture draws. replayed: (k, num_corpora) shares that Replay draws, never
    lowered. sizes: rows of an epoch. given: rows drawn so far. A cap lowers a corpus' weight by one factor throughout
    and gives the surplus to the others in proportion to their weights. UserError where that is not wanted or not
    possible, with the epochs it would be.
    """
    room = max_epochs * np.array(sizes) - given - replayed.sum(axis=0) * rows_per_step
    wanted = weights.sum(axis=0) * rows_per_step
    slack = 1e-6 * np.maximum(wanted, 1)
    over = wanted > room + slack
    if not over.any():
        return weights
    would = [f"{names[i]} {max_epochs + (wanted[i] - room[i]) / sizes[i]:.3g}" for i in np.flatnonzero(over)]
    said = f"epochs of {', '.join(would)} (data.max_epochs={max_epochs:g})"
    if on_max_epochs == "error":
        raise UserError(
            f"the run would need {said}; lower the share or `tokens`, raise data.max_epochs, or set"
            " data.on_max_epochs=cap to give the surplus to the other corpora"
        )
    if (alone := room < -slack).any():
        more = [f"{names[i]} {max_epochs - room[i] / sizes[i]:.3g}" for i in np.flatnonzero(alone)]
        raise UserError(
            f"replay alone would need epochs of {', '.join(more)} (data.max_epochs={max_epochs:g}), and a cap lowers"
            " the mixture only; lower the share of replay or `tokens`, or raise data.max_epochs"
        )
    capped = np.zeros(len(names), dtype=bool)
    limited = weights
    while over.any():
        capped |= over
        # A row less, so that rounding to whole rows stays below the cap.
        factor = np.divide(np.maximum(room - 1, 0), wanted, out=np.zeros_like(wanted), where=wanted > 0)
        kept = np.where(capped, weights * np.minimum(factor, 1), 0)
        free = np.where(capped, 0, weights)
        surplus = weights.sum(axis=1, keepdims=True) - kept.sum(axis=1, keepdims=True)
        room_left = free.sum(axis=1, keepdims=True)
        if ((room_left <= 0) & (surplus > 1e-12)).any():
            raise UserError(f"the run would need {said} and no other corpus takes the surplus; train on fewer tokens")
        limited = kept + free * np.divide(surplus, room_left, out=np.zeros_like(surplus), where=room_left > 0)
        over = ~capped & (limited.sum(axis=0) * rows_per_step > room + slack)
    shares = ", ".join(f"{n} {w:.3g}" for n, w in zip(names, limited.mean(axis=0), strict=True))
    print(f"data.on_max_epochs=cap: instead of {said} the shares are {shares}", file=sys.stderr, flush=True)
    return limited


def check_ahead(stream: TokenStream, mixture: Mixture, general: str) -> None:
    """UserError, before training, where what mixture or replay decide while they learn may break `max_epochs`.

    Under `error` the most that each corpus can come to must fit; under `cap` the least, and all corpora together.
    """
    names, steps = stream.names, stream.steps
    u = (np.arange(steps) + 1.0) / steps
    least, most = mixture.bounds(u, names, general)
    low, high = stream.replay.bounds(u)
    buffer = stream.replay.from_buffer
    drawn = [least * (1 - high[:, None]), most * (1 - low[:, None])]  # by the mixture, at least and at most
    source = stream.table.replay_corpus
    if source >= 0:
        drawn[0][:, source] = np.minimum(least[:, source] * (1 - low) + low, least[:, source] * (1 - high) + high)
        drawn[1][:, source] = np.maximum(most[:, source] * (1 - low) + low, most[:, source] * (1 - high) + high)
    if buffer:
        drawn[1] = drawn[1] + high[:, None]  # all of it may be of one corpus
    size = np.array([draw.size for draw in stream.draws])
    need = [share.sum(axis=0) * stream.rows_per_step / size for share in drawn]
    limit = stream.max_epochs or np.inf
    capped = stream.on_max_epochs == "cap"
    worst = need[0] if capped and not buffer else need[1]
    if capped and source >= 0:  # replay is never lowered
        worst[source] = max(worst[source], float(high.sum()) * stream.rows_per_step / size[source])
    over = worst > limit * (1 + 1e-6)
    if over.any():
        said = ", ".join(f"{names[i]} {worst[i]:.3g}" for i in np.flatnonzero(over))
        if capped:
            raise UserError(
                f"the run needs epochs of {said} at least (data.max_epochs={limit:g}), whatever is decided; lower"
                " mixture.min_share, mixture.shares, the share of replay or `tokens`, or raise data.max_epochs"
            )
        raise UserError(
            f"what is decided while the run trains may need epochs of {said} (data.max_epochs={limit:g}); raise"
            " data.max_epochs or mixture.min_share, lower `tokens`, or set data.on_max_epochs=cap, which holds every"
            " decision to the limit"
        )
    room, rows = limit * float(size.sum()), steps * stream.rows_per_step
    if rows > room * (1 + 1e-6):
        raise UserError(
            f"the run draws {rows} rows, but data.max_epochs={limit:g} allows {room:.0f} of all corpora together; train"
            " on fewer tokens or raise data.max_epochs"
        )


def check_buffer(stream: TokenStream) -> None:
    """UserError where rows drawn again from the buffer bring a corpus above `max_epochs`, counted one by one."""
    limit = stream.max_epochs or np.inf
    end = stream.planned_steps
    size = np.array([draw.size for draw in stream.draws])
    drawn, again = stream.table.drawn(end), stream.table.totals(end)[-1]
    if (drawn + again <= limit * size).all():
        return  # even if all came from one corpus: nothing to count
    epochs = stream.epochs_by_corpus(end)
    over = {name: share for name, share in epochs.items() if share > limit * (1 + 1e-6)}
    if over:
        said = ", ".join(f"{name} {share:.3g}" for name, share in over.items())
        raise UserError(
            f"the run would need epochs of {said}, rows drawn again from the buffer included"
            f" (data.max_epochs={limit:g}); lower replay.replay_share or `tokens`, or raise data.max_epochs"
            " (data.on_max_epochs=cap lowers the mixture alone)"
        )
