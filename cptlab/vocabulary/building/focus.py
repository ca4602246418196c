"""FOCUS (Dobler & de Melo 2023, arXiv 2305.14481): a new token starts as a mean of the old tokens most like it.

Likeness is the cosine in auxiliary vectors of the new tokens, learnt on the new text; its sparsemax gives the weights.
The paper's vectors are fastText's; ours factorise the positive pointwise mutual information of tokens within a window
(Levy & Goldberg 2014), which needs no further library and no random start.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_array, csr_array

from cptlab.vocabulary.building.rows import lengths

WINDOW = 5  # tokens to either side
DIMENSIONS = 100
SMOOTHING = 0.75  # exponent of context counts, as in word2vec
ROWS = 512  # of a similarity table that are in memory at once


def sparsemax(scores: np.ndarray) -> np.ndarray:
    """(n, m) -> (n, m): the nearest point of the simplex to each row, max(z - tau, 0) with tau such that it sums to 1.

    Martins & Astudillo 2016 (arXiv 1602.02068), algorithm 1.
    """
    falling = -np.sort(-scores, axis=1)
    sums = np.cumsum(falling, axis=1) - 1
    size = np.arange(1, scores.shape[1] + 1)
    support = (size * falling > sums).sum(axis=1)
    tau = np.take_along_axis(sums, support[:, None] - 1, axis=1) / support[:, None]
    return np.maximum(scores - tau, 0)


def similar_rows(wanted: np.ndarray, known: np.ndarray) -> csr_array:
    """(n, d), (m, d) -> (n, m): sparsemax of cosines."""
    columns = unit(known).T
    parts = []
    for start in range(0, len(wanted), ROWS):
        parts.append(csr_array(sparsemax(unit(wanted[start : start + ROWS]) @ columns)))
    indptr = [np.zeros(1, np.int64)]
    for part in parts:
        indptr.append(part.indptr[1:] + indptr[-1][-1])
    data = np.concatenate([part.data for part in parts]) if parts else np.zeros(0)
    indices = np.concatenate([part.indices for part in parts]) if parts else np.zeros(0, np.int64)
    return csr_array((data, indices, np.concatenate(indptr)), shape=(len(wanted), len(known)))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def token_vectors(texts: Iterable[list[int]], size: int) -> np.ndarray:
    """(size, d): a vector for each token that stands near others in the texts, 0 for the rest."""
    from scipy.sparse.linalg import svds

    information = mutual_information(counts(texts, size))
    seen = np.flatnonzero(lengths(information))
    dimensions = min(DIMENSIONS, len(seen) - 2)
    vectors = np.zeros((size, max(dimensions, 1)))
    if dimensions < 1:
        return vectors
    dense = information[seen][:, seen]
    left, values, _ = svds(dense, k=dimensions, v0=np.ones(len(seen)))
    order = np.argsort(-values)
    vectors[seen] = left[:, order] * np.sqrt(values[order])  # type: ignore[index]
    return vectors


def counts(texts: Iterable[list[int]], size: int) -> csr_array:
    """(size, size) symmetric: how often two tokens stand within WINDOW of each other in one text."""
    lists = [np.array(ids, np.int64) for ids in texts if len(ids) > 1]
    total = csr_array((size, size), dtype=np.float64)
    if not lists:
        return total
    flat = np.concatenate(lists)
    document = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
    for distance in range(1, WINDOW + 1):
        near = np.flatnonzero(document[:-distance] == document[distance:])
        pairs = (flat[near], flat[near + distance])
        total = total + csr_array(coo_array((np.ones(len(near)), pairs), shape=(size, size)))
    return csr_array(total + total.T)


def mutual_information(pairs: csr_array) -> csr_array:
    """max(0, log p(a, b) / (p(a) p'(b))), p' smoothed."""
    table = coo_array(pairs)
    rows, contexts = np.asarray(pairs.sum(axis=1)), np.asarray(pairs.sum(axis=0)) ** SMOOTHING
    with np.errstate(divide="ignore"):
        row_share = np.log(rows / max(rows.sum(), 1))
        context_share = np.log(contexts / max(contexts.sum(), 1e-12))
    a, b = table.coords
    values = np.log(table.data / max(rows.sum(), 1)) - row_share[a] - context_share[b]
    made = csr_array(coo_array((np.maximum(values, 0), (a, b)), shape=pairs.shape))
    made.eliminate_zeros()
    return made
