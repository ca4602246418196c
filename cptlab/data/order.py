"""Data order as a pure function: a keyed permutation of the rows of one corpus in one epoch. No state."""

import numpy as np
from numpy.typing import NDArray

UInt = NDArray[np.uint64]
_ROUNDS = 6
_MASK = 0xFFFFFFFFFFFFFFFF


def key_of(*parts: int) -> int:
    """A 64-bit key from small integers (seed, corpus index, epoch, ...), well mixed."""
    key = 0x9E3779B97F4A7C15
    for part in parts:
        key = _mix_one(key ^ (part + 0x632BE59BD9B4E019) & _MASK)
    return key


def permute(index: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Bijection of [0, size): a balanced Feistel network with cycle walking (Black & Rogaway 2002).

    index: (n,) in [0, size). Returns (n,) int64. O(1) memory in `size`, random access.
    """
    half = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    value = np.asarray(index, dtype=np.uint64).copy()
    todo = np.ones(value.shape, dtype=bool)
    while todo.any():
        left, right = value[todo] >> half, value[todo] & mask
        for i in range(_ROUNDS):
            left, right = right, left ^ (_mix(right ^ np.uint64(key_of_round(key, i))) & mask)
        value[todo] = (left << half) | right
        todo = value >= size
    return value.astype(np.int64)


def key_of_round(key: int, i: int) -> int:
    """Round key i of a permutation."""
    return (key + i * 0xD1342543DE82EF95) & _MASK


def _mix(value: UInt) -> UInt:
    """The splitmix64 finaliser (Steele et al. 2014), elementwise."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _mix_one(value: int) -> int:
    """`_mix` of one Python integer: no array is made for a key."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
