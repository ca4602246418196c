"""n-gram decontamination: train documents that share a run of words with held-out or evaluation text.

Words are compared in lower case without punctuation, as GPT-3 did with n = 8 to 13 (Brown et al. 2020,
arXiv 2005.14165, appendix C); a Han or kana character counts as a word. A document with one shared n-gram
is left out whole.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cptlab.data.sources.base import Document, split_of

HELD_OUT = "held_out"  # the entry that stands for valid, fit and test of every corpus
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of a word's hash is lost
KNOWN_WORDS = 1_000_000  # word hashes that are remembered


class WordHashes(dict[str, int]):
    """64-bit hash of a word, remembered."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN_WORDS:
            self.clear()
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value


hashes = WordHashes()


def ngrams(text: str, n: int) -> np.ndarray:
    """(words - n + 1,) uint64: a hash of each run of n words; empty for a shorter text."""
    words = WORD.findall(text.lower())
    if len(words) < n:
        return np.empty(0, np.uint64)
    values = np.fromiter(map(hashes.__getitem__, words), np.uint64, len(words))
    found = np.zeros(len(words) - n + 1, np.uint64)
    for place in range(n):
        found = found * FACTOR + values[place : place + len(found)]
    return found


@dataclass(frozen=True, eq=False)
class Overlap:
    """The n-grams that training text must not hold. grams: sorted, (k,) uint64."""

    grams: np.ndarray
    n: int

    def hits(self, text: str) -> bool:
        """Whether a text holds one of them."""
        found = ngrams(text, self.n)
        if not len(found) or not len(self.grams):
            return False
        places = np.searchsorted(self.grams, found)
        return bool(np.any(self.grams[np.minimum(places, len(self.grams) - 1)] == found))

    def save(self, path: Path) -> None:
        """Write it where other processes map it."""
        temporary = path.with_suffix(".part.npy")
        np.save(temporary, np.append(self.grams, np.uint64(self.n)))
        temporary.replace(path)


def load_overlap(path: Path) -> Overlap | None:
    """What `save` wrote, read as it is used; None if there is nothing."""
    if not path.is_file():
        return None
    values = np.load(path, mmap_mode="r")
    return Overlap(values[:-1], int(values[-1]))


def collect(texts: Iterable[str], n: int) -> tuple[Overlap, int]:
    """The n-grams of texts, and how many texts are shorter than n words. Memory: about 8 bytes a word."""
    parts: list[np.ndarray] = [np.empty(0, np.uint64)]
    fresh: list[np.ndarray] = []
    size = short = 0
    for text in texts:
        found = ngrams(text, n)
        short += not len(found)
        fresh.append(found)
        size += len(found)
        if size > 4_000_000:
            parts.append(np.unique(np.concatenate(fresh)))
            fresh, size = [], 0
    return Overlap(np.unique(np.concatenate([*parts, *fresh])), n), short


def held_out_texts(documents: Iterable[Document]) -> Iterator[str]:
    """The texts of valid, fit and test."""
    return (document.text for document in documents if split_of(document) != "train")


def split_entry(entry: str) -> tuple[str, str]:
    """`path` or `path:field` -> (path, field); the field is `text` unless said."""
    path, colon, field = entry.rpartition(":")
    if colon and field.isidentifier():
        return path, field
    return entry, "text"
