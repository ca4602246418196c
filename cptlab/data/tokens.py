"""One corpus as token ids in a memory-mapped file: headless, little-endian, EOS after each document."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Corpus:
    """One split of one named corpus."""

    name: str
    domain: str  # equal to the name
    split: str  # train, valid, fit or test
    path: str  # the token file
    num_tokens: int  # EOS included
    num_bytes: int  # UTF-8 bytes of the text
    num_documents: int
    tokenizer_hash: str
    content_hash: str  # SHA-256 of the token file
    dtype: str = "uint16"  # uint32 where the vocabulary needs it

    def tokens(self) -> np.memmap:
        """(num_tokens,) uint16 or uint32, read from the disk as it is used."""
        return np.memmap(self.path, dtype=np.dtype(self.dtype).newbyteorder("<"), mode="r")

    @property
    def file_bytes(self) -> int:
        """Size that the token file must have."""
        return self.num_tokens * np.dtype(self.dtype).itemsize


def token_dtype(vocab_size: int) -> str:
    """The smallest of uint16 and uint32 that holds every id."""
    return "uint16" if vocab_size <= 2**16 else "uint32"


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
