"""Data order as a pure function: a keyed permutation of the rows of one corpus in one epoch. No state."""

import numpy as np
from numpy.typing import NDArray

UInt = NDArray[np.uint64]
_ROUNDS = 6
_MASK = 0xFFFFFFFFFFFFFFFF
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64's finaliser (Steele et al. 2014)
_CHUNK = 16384  # indices of one pass: value, halves and scratch stay in the L2 cache


def key_of(*parts: int) -> int:
    """A 64-bit key from small integers (seed, corpus index, epoch, ...), well mixed."""
    key = 0x9E3779B97F4A7C15
    for part in parts:
        key = _mix_one(key ^ (part + 0x632BE59BD9B4E019) & _MASK)
    return key


def keys_of(*parts: int, last: NDArray[np.int64]) -> UInt:
    """`key_of(*parts, i)` for every i of `last`: (n,) -> (n,)."""
    value = np.asarray(last, dtype=np.uint64) + np.uint64(0x632BE59BD9B4E019)
    value ^= np.uint64(key_of(*parts))
    _mix(value, np.empty_like(value))
    return value


def permute(index: NDArray[np.int64], size: int, key: int | UInt) -> NDArray[np.int64]:
    """Bijection of [0, size): a balanced Feistel network with cycle walking (Black & Rogaway 2002).

    index: any shape, in [0, size). key: one key, or one an index (same shape). Returns int64 of the same shape.
    O(1) memory in `size`, random access. Single places are uniform at any size, pairs of places from 32 rows on.
    """
    index = np.asarray(index)
    half = max(1, (int(size - 1).bit_length() + 1) // 2)
    keys = np.broadcast_to(key, index.shape).ravel() if isinstance(key, np.ndarray) else key
    value = index.astype(np.uint64).ravel()
    _network(value, half, keys)
    # The network permutes up to four times `size`: what falls outside walks on until it is back inside.
    outside = np.flatnonzero(value >= np.uint64(size))
    while outside.size:
        rest = value[outside]
        _network(rest, half, keys[outside] if isinstance(keys, np.ndarray) else keys)
        value[outside] = rest
        outside = outside[rest >= np.uint64(size)]
    return value.view(np.int64).reshape(index.shape)


def _network(value: UInt, half: int, key: int | UInt) -> None:
    """The Feistel network on every value, in place, a part that the cache holds at a time."""
    for start in range(0, value.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        _rounds(value[part], half, key[part] if isinstance(key, np.ndarray) else key)


def _rounds(value: UInt, half: int, key: int | UInt) -> None:
    """Six Feistel rounds on the two halves of every value, in place."""
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = value >> shift, value & mask
    mixed, scratch = np.empty_like(value), np.empty_like(value)
    for i in range(_ROUNDS):
        round_key = key_of_round(key, i)
        if half <= 30 and not isinstance(round_key, np.ndarray):
            # `right` has no bit above 30: the first shift moves bits of the key alone.
            np.bitwise_xor(right, np.uint64(round_key ^ (round_key >> 30)), out=mixed)
        else:
            np.bitwise_xor(right, np.asarray(round_key, dtype=np.uint64), out=mixed)
            np.right_shift(mixed, np.uint64(30), out=scratch)
            np.bitwise_xor(mixed, scratch, out=mixed)
        _finish_mix(mixed, scratch)
        mixed &= mask
        mixed ^= left
        left, right, mixed = right, mixed, left
    np.left_shift(left, shift, out=value)
    value |= right


def key_of_round(key: int | UInt, i: int) -> int | UInt:
    """Round key i of a permutation."""
    if isinstance(key, np.ndarray):
        return key + np.uint64(i * 0xD1342543DE82EF95 & _MASK)
    return (key + i * 0xD1342543DE82EF95) & _MASK


def _mix(value: UInt, scratch: UInt) -> None:
    """The splitmix64 finaliser, elementwise and in place."""
    np.right_shift(value, np.uint64(30), out=scratch)
    np.bitwise_xor(value, scratch, out=value)
    _finish_mix(value, scratch)


def _finish_mix(value: UInt, scratch: UInt) -> None:
    """The finaliser after its first shift."""
    value *= np.uint64(_FIRST)
    np.right_shift(value, np.uint64(27), out=scratch)
    value ^= scratch
    value *= np.uint64(_SECOND)
    np.right_shift(value, np.uint64(31), out=scratch)
    value ^= scratch


def _mix_one(value: int) -> int:
    """`_mix` of one Python integer: no array is made for a key."""
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)
