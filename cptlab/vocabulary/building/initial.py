"""What the embeddings of tokens that the base did not have start as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, vstack

from cptlab.data.tokenizer import Tokenizer
from cptlab.vocabulary.building.focus import similar_rows, token_vectors
from cptlab.vocabulary.building.old import OldBase
from cptlab.vocabulary.building.rows import Transfer, lengths, means
from cptlab.vocabulary.building.surface import cutter, surfaces

if TYPE_CHECKING:
    from cptlab.vocabulary.building.text import Text


def rows_of_added(
    old: OldBase, new: Tokenizer, ids: Mapping[int, int], init: str, text: Text
) -> tuple[Transfer, dict[str, int]]:
    """Rows of the tokens in `ids` {old: new} are kept, the others made by `init`; and how many were made how."""
    kept = np.full(new.vocab_size, -1, np.int64)
    for before, after in ids.items():
        kept[after] = before
    cut, bytes_of = cutter(old.tokenizer), surfaces(new)
    missing = np.flatnonzero(kept < 0)
    special = {i for i, added in new.backend.get_added_tokens_decoder().items() if added.special}
    pieces = [[] if i in special or i not in bytes_of else cut(bytes_of[i]) for i in missing.tolist()]
    mix = means(pieces, old.ends.rows)
    similar = 0
    if init == "focus":
        vectors = token_vectors(new.encode(text.train), new.vocab_size)
        mix, similar = with_similar(mix, vectors, missing, kept)
    empty = int((lengths(mix) == 0).sum())
    notes = {"by_similarity": similar, "by_mean_of_parts": len(missing) - similar - empty, "by_mean_of_all": empty}
    whole = spread(mix, missing, new.vocab_size)
    padding = old.ends.rows - 1 if old.ends.rows > old.tokenizer.vocab_size else -1
    return Transfer(kept, whole, padding), notes


def with_similar(
    mix: csr_array, vectors: np.ndarray, missing: np.ndarray, kept: np.ndarray
) -> tuple[csr_array, int]:  # fmt: skip
    """`mix` with FOCUS's weights in place of its rows where a token and some kept ones occur in the text."""
    seen = np.any(vectors != 0, axis=1)
    overlap = np.flatnonzero((kept >= 0) & seen)
    if not len(overlap):
        return mix, 0
    chosen = np.flatnonzero(seen[missing])
    weights = similar_rows(vectors[missing[chosen]], vectors[overlap])
    columns = kept[overlap][weights.indices]
    pointed = csr_array((weights.data, columns, weights.indptr), shape=(len(chosen), mix.shape[1]))  # type: ignore[index]
    place = np.arange(len(missing))
    place[chosen] = len(missing) + np.arange(len(chosen))
    return csr_array(csr_array(vstack([mix, pointed]))[place]), len(chosen)


def spread(mix: csr_array, at: np.ndarray, rows: int) -> csr_array:
    """The rows of `mix` at the places `at` of a matrix of `rows` rows, empty elsewhere; `at` rises."""
    sizes = np.zeros(rows, np.int64)
    sizes[at] = lengths(mix)
    pointers = np.concatenate([[0], np.cumsum(sizes)])
    return csr_array((mix.data, mix.indices, pointers), shape=(rows, mix.shape[1]))  # type: ignore[index]
