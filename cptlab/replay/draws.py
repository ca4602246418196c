"""Keyed random integers: pure functions of (seed, purpose, place), equal on every machine and in every order of calls.

The Philox counter generator of NumPy (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") gives the
bits, whose stream NumPy keeps fixed; multiplication of float64 is exactly rounded everywhere.
"""

import numpy as np
from numpy.typing import NDArray

RESERVOIR, PICK = 1, 2  # purposes: equal seeds give them unrelated bits


def raw_bits(seed: int, purpose: int, place: int, count: int) -> NDArray[np.uint64]:
    """(count,) 64-bit words of one place; two places never share a word."""
    generator = np.random.Philox(
        key=np.array([seed, purpose], np.uint64), counter=np.array([0, place, 0, 0], np.uint64)
    )
    return generator.random_raw(count)


def below(bits: NDArray[np.uint64], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers in [0, bound) of random words, (n,); uneven by at most bound / 2^53."""
    return ((bits >> np.uint64(11)) * 2.0**-53 * bounds).astype(np.int64)


def choose(seed: int, place: int, count: int, size: int) -> NDArray[np.int64]:
    """`count` of [0, size), no number twice before all have come once: (count,).

    Every subset of the last, incomplete round is equally likely (Floyd's sampling, Bentley & Floyd 1987, CACM 30:9).
    """
    if count and not size:
        raise ValueError(f"place {place} is to replay {count} rows, but nothing has been seen yet")
    rounds, rest = divmod(count, max(size, 1))
    last = np.arange(size - rest, size)
    chosen: dict[int, None] = {}  # a set that keeps its order
    for top, drawn in zip(last.tolist(), below(raw_bits(seed, PICK, place, rest), last + 1).tolist(), strict=True):
        chosen[top if drawn in chosen else drawn] = None
    picked = np.fromiter(chosen, np.int64, rest)
    # Without a whole round, which is the common case, nothing as long as the buffer is made.
    return np.concatenate([np.tile(np.arange(size), rounds), picked]) if rounds else picked
