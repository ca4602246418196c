"""How often a corpus may be repeated: `data.max_epochs`, refused or capped."""

import sys

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

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
