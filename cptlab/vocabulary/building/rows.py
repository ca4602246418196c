"""Rows of a new table of embeddings as a linear map of the old ones: copied, averaged, or the mean of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = 256  # of a table that are in float64 at once


class Rows(Protocol):
    """How the tables of a base become those of another vocabulary."""

    @property
    def size(self) -> int:
        """Rows of the new tables before padding."""
        ...

    def apply(self, side: str, old: Tensor, rows: int) -> Tensor:
        """(rows, ...) of the type of `old` (old rows, ...); rows >= size, side is `input` or `output`."""
        ...


@dataclass(frozen=True)
class NewVocabulary:
    """A tokenizer, the rows that go with it, and the new ids of old tokens.

    spec: its tokenizer.json; eos: its end-of-text token; ids: {old id: new id} of the tokens that are kept; chat: of
    the folder whose tokenizer_config.json and chat template go with it, None = the base's.
    """

    spec: dict
    eos: str
    rows: Rows
    ids: dict[int, int]
    counts: dict[str, int] = field(default_factory=dict)  # tokens kept, added, dropped, ...: for the record
    notes: dict = field(default_factory=dict)  # what else the record should say
    chat: Path | None = None


@dataclass(frozen=True)
class Transfer:
    """kept: (size,) old id whose row is copied, -1 = none; mix: (size, old rows) weights of the others.

    A row that is neither kept nor mixed is the mean of all old rows; rows of padding are old rows of padding where
    there are some (training has pushed their logits down), else that mean too. Source: mean of sub-tokens as in
    Chinese-LLaMA (arXiv 2304.08177), ChocoLlama and FOCUS's fallback.
    """

    kept: np.ndarray
    mix: csr_array
    padding: int = -1  # an old row that no token has, -1 = none

    @property
    def size(self) -> int:
        """Tokens."""
        return len(self.kept)

    def apply(self, side: str, old: Tensor, rows: int) -> Tensor:
        """Kept rows bit for bit; sums in float64."""
        import torch

        flat = old.reshape(len(old), -1)
        kept = np.full(rows, self.padding, np.int64)
        kept[: self.size] = self.kept
        copied = torch.from_numpy(kept >= 0)
        mixed = np.flatnonzero((self.kept < 0) & (lengths(self.mix) > 0))
        new = torch.empty(rows, flat.shape[1], dtype=old.dtype)
        weights = self.mix[mixed]
        for start in range(0, flat.shape[1], COLUMNS):
            part = flat[:, start : start + COLUMNS].double().numpy()
            block = torch.from_numpy(part.mean(0)).repeat(rows, 1)
            block[mixed] = torch.from_numpy(weights @ part)
            new[:, start : start + COLUMNS] = block.to(old.dtype)
        new[copied] = flat[torch.from_numpy(kept[kept >= 0])]
        return new.reshape(rows, *old.shape[1:])


def means(pieces: Iterable[list[int]], columns: int) -> csr_array:
    """(number of pieces, columns): each row weighs the ids of one list equally; an empty list gives an empty row."""
    lists = list(pieces)
    sizes = np.array([len(ids) for ids in lists], np.int64)
    flat = np.array([index for ids in lists for index in ids], np.int64)
    weights = np.repeat(1.0 / np.maximum(sizes, 1), sizes)
    pointers = np.concatenate([[0], np.cumsum(sizes)])
    made = csr_array((weights, flat, pointers), shape=(len(lists), columns))
    made.sum_duplicates()
    return made


def lengths(matrix: csr_array) -> np.ndarray:
    """Entries of each row."""
    return np.diff(np.asarray(matrix.indptr))


def padded(size: int, pad_to: int) -> int:
    """The smallest multiple of `pad_to` that is no less than `size`."""
    return -(-size // pad_to) * pad_to
