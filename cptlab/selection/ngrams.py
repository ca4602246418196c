"""Bags of hashed n-grams: the features of DSIR, and the embedding of GOT-D that needs no model."""

import re
import zlib

import numpy as np
from numpy.typing import NDArray

WORDS = re.compile(r"\w+|[^\w\s]+")


def buckets_of(text: str, buckets: int, order: int = 2) -> NDArray[np.int64]:
    """The bucket of every n-gram of a text, n = 1 ... order: (number of n-grams,). Words as in NLTK's WordPunct."""
    words = WORDS.findall(text.lower())
    grams = (" ".join(words[i : i + n]) for n in range(1, order + 1) for i in range(len(words) - n + 1))
    return np.fromiter((zlib.crc32(gram.encode("utf-8", "surrogatepass")) % buckets for gram in grams), np.int64)


def counts_of(text: str, buckets: int, order: int = 2) -> NDArray[np.int64]:
    """N-grams of a text in every bucket: (buckets,)."""
    return np.bincount(buckets_of(text, buckets, order), minlength=buckets)
