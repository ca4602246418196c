"""Token files that other tools wrote: Megatron's `.bin` + `.idx`, datatrove's `.ds` + `.ds.index`.

Megatron: megatron/core/datasets/indexed_dataset.py; datatrove: pipeline/tokens/tokenizer.py (0.10.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cptlab.errors import UserError

MAGIC = b"MMIDIDX\x00\x00"
MEGATRON_TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # the codes that can be token ids
BLOCK = 1 << 24  # [token] looked at together


@dataclass(frozen=True, eq=False)
class TokenFile:
    """Documents one after the other. ends: (num_documents,) where each ends, in tokens from the start."""

    path: Path
    index: Path
    kind: str  # numpy type, e.g. "<u2"
    ends: np.ndarray

    def tokens(self) -> np.ndarray:
        """(num_tokens,) in `kind`, read from the disk as it is used."""
        if not len(self.ends):
            return np.empty(0, self.kind)
        return np.memmap(self.path, np.dtype(self.kind), mode="r")

    def documents(self) -> Iterator[np.ndarray]:
        """Token ids of each document in turn."""
        tokens, start = self.tokens(), 0
        for end in self.ends.tolist():
            yield tokens[start:end]
            start = end

    def check_ids(self, vocab_size: int, key: str) -> None:
        """UserError for a token that the tokenizer does not have."""
        tokens = self.tokens()
        for start in range(0, len(tokens), BLOCK):
            block = tokens[start : start + BLOCK]
            wrong = np.flatnonzero((block < 0) | (block >= vocab_size))
            if len(wrong):
                raise UserError(
                    f"{key}: token {start + wrong[0]} of {self.path} is {block[wrong[0]]}, and the tokenizer has"
                    f" {vocab_size} ids; give the tokenizer that made the file as data.tokenizer."
                )

    def is_closed_by(self, eos_id: int) -> bool:
        """Whether every document ends with this token."""
        starts = np.concatenate([[0], self.ends[:-1]])
        return bool(np.all(self.ends > starts) and np.all(self.tokens()[self.ends - 1] == eos_id))


def open_token_file(path: Path, key: str) -> TokenFile:
    """A `.bin` or `.ds` file with its index beside it. UserError if the two do not fit together."""
    index = Path(f"{path}.index") if path.suffix == ".ds" else path.with_suffix(".idx")
    if not index.is_file():
        raise UserError(f"{key}: {path} has no index {index.name} beside it, which says where its documents end.")
    read = read_datatrove if path.suffix == ".ds" else read_megatron
    kind, ends = read(path, index, key)
    found, wanted = path.stat().st_size, int(ends[-1]) * np.dtype(kind).itemsize if len(ends) else 0
    if found != wanted:
        raise UserError(f"{key}: {path} has {found} bytes and its index {index.name} says {wanted}; it is not whole.")
    return TokenFile(path, index, kind, ends)


def read_megatron(path: Path, index: Path, key: str) -> tuple[str, np.ndarray]:
    """Type and document ends of an `.idx` file (version 1)."""
    data = index.read_bytes()
    broken = UserError(f"{key}: {index} is no whole Megatron index (MMIDIDX, version 1) of {path.name}.")
    if len(data) < 34 or data[:9] != MAGIC or int.from_bytes(data[9:17], "little") != 1:
        raise broken
    code, rows, marks = data[17], *(int.from_bytes(data[i : i + 8], "little") for i in (18, 26))
    if len(data) < 34 + 12 * rows + 8 * marks:
        raise broken
    if code not in MEGATRON_TYPES:
        raise UserError(f"{key}: {index} has tokens of type code {code}, which is no kind of integer.")
    sizes = np.frombuffer(data, "<i4", rows, 34).astype(np.int64)
    pointers = np.frombuffer(data, "<i8", rows, 34 + 4 * rows)
    documents = np.frombuffer(data, "<i8", marks, 34 + 12 * rows)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    if np.any(sizes < 0) or np.any(pointers != ends[:-1] * np.dtype(MEGATRON_TYPES[code]).itemsize):
        raise UserError(f"{key}: {index} lists sequences that do not follow one another in {path.name}.")
    if marks < 1 or documents[0] != 0 or documents[-1] != rows or np.any(np.diff(documents) < 0):
        raise broken
    return MEGATRON_TYPES[code], ends[documents[1:]]


def read_datatrove(path: Path, index: Path, key: str) -> tuple[str, np.ndarray]:
    """Type and document ends of a `.ds.index` file; two or four bytes a token."""
    data = index.read_bytes()
    ends = np.frombuffer(data, "<u8", len(data) // 8).astype(np.int64)
    if len(data) % 8 or np.any(np.diff(ends, prepend=0) < 0):
        raise UserError(f"{key}: {index} is no whole datatrove index of {path.name}.")
    size = path.stat().st_size // max(int(ends[-1]), 1) if len(ends) else 2
    return "<u4" if size == 4 else "<u2", ends
