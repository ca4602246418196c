"""The token files of one corpus while they are written: one a split, with their counts and hashes."""

import hashlib
from pathlib import Path

import numpy as np

from cptlab.data.sources.base import SPLITS
from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import Corpus


class SplitFiles:
    """Appends to `<folder>/<name>.<split>.bin`; a context manager, `corpora()` after it is closed.

    dtype: uint16 or uint32. Memory: 8 bytes a document, for the count of duplicates.
    """

    def __init__(self, name: str, folder: Path, dtype: str, tokenizer: Tokenizer) -> None:
        self.name, self.folder, self.dtype, self.tokenizer = name, folder, dtype, tokenizer
        self.counts = {split: [0, 0, 0] for split in SPLITS}  # tokens, bytes, documents
        self.digests = {split: hashlib.sha256() for split in SPLITS}
        self.documents: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}  # hashes of the documents
        self.files = {split: open(self.path(split), "wb") for split in SPLITS}  # noqa: SIM115

    def path(self, split: str) -> Path:
        """The token file of a split."""
        return self.folder / f"{self.name}.{split}.bin"

    def __enter__(self) -> "SplitFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()

    def add(self, split: str, tokens: bytes, num_bytes: int, documents: np.ndarray) -> None:
        """Append whole documents. tokens: in `dtype`; documents: (n,) uint64, a hash of each."""
        self.files[split].write(tokens)
        self.digests[split].update(tokens)
        self.documents[split].append(documents)
        count = self.counts[split]
        count[0] += len(tokens) // np.dtype(self.dtype).itemsize
        count[1] += num_bytes
        count[2] += len(documents)

    def corpora(self) -> dict[str, Corpus]:
        """Split -> what was written."""
        return {
            split: Corpus(
                name=self.name,
                domain=self.name,
                split=split,
                path=str(self.path(split)),
                num_tokens=self.counts[split][0],
                num_bytes=self.counts[split][1],
                num_documents=self.counts[split][2],
                tokenizer_hash=self.tokenizer.hash,
                content_hash=self.digests[split].hexdigest(),
                dtype=self.dtype,
            )
            for split in SPLITS
        }

    def unique(self) -> dict[str, np.ndarray]:
        """Split -> (distinct documents,) sorted uint64."""
        empty = [np.empty(0, np.uint64)]
        return {split: np.unique(np.concatenate(self.documents[split] or empty)) for split in SPLITS}
