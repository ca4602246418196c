"""One corpus as token ids in a memory-mapped file: headless, little-endian, EOS after each document."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cptlab.data.hashes import sha256_file
from cptlab.errors import UserError


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
        """(num_tokens,) uint16 or uint32, read from the disk as it is used. UserError for a file of another size."""
        path = Path(self.path)
        size = path.stat().st_size if path.is_file() else None
        if size != self.file_bytes:
            found = "is missing" if size is None else f"has {size} bytes instead of {self.file_bytes}"
            raise UserError(
                f"corpus {self.name}: {self.path} {found}; it was cut short or changed: remove its folder and run"
                " again to build it anew"
            )
        return np.memmap(path, dtype=np.dtype(self.dtype).newbyteorder("<"), mode="r")

    def verify(self) -> None:
        """Read the whole file. UserError unless its hash is that of the file that was built."""
        self.tokens()
        found = sha256_file(self.path)
        if found != self.content_hash:
            raise UserError(
                f"corpus {self.name}: {self.path} is corrupt (SHA-256 {found[:12]}, built as {self.content_hash[:12]});"
                " remove its folder and run again to build it anew"
            )

    @property
    def file_bytes(self) -> int:
        """Size that the token file must have."""
        return self.num_tokens * np.dtype(self.dtype).itemsize


def token_dtype(vocab_size: int) -> str:
    """The smallest of uint16 and uint32 that holds every id."""
    return "uint16" if vocab_size <= 2**16 else "uint32"
