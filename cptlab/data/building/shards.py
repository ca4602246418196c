"""Shards: a run of pieces that one process tokenises and writes; a marker says that it is done.

A shard's number and content depend on the documents alone, so that shards merged in their order give the
bytes of a serial build, whoever made which and after however many interruptions.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cptlab.data.building.decontaminate import Overlap
from cptlab.data.building.pieces import LONG, Piece, cut
from cptlab.data.building.splits import SplitFiles
from cptlab.data.building.words import Encoder
from cptlab.data.sources.base import SPLITS, Document, is_blank, split_of, utf8_parts
from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import token_dtype

SHARD_CHARS = 4_000_000  # [character] text of a shard, about


@dataclass(frozen=True)
class Shard:
    """Pieces of one corpus, the `number`-th run of them; files go to `folder`."""

    folder: Path
    number: int
    pieces: list[Piece]

    @property
    def tokens(self) -> Path:
        """Token ids of each split in turn, then the 64-bit hashes of their documents."""
        return self.folder / f"{self.number:07d}.bin"

    @property
    def marker(self) -> Path:
        """Written last: counts by split, documents left out, and the hash of the text."""
        return self.folder / f"{self.number:07d}.json"

    def text_hash(self) -> str:
        """Hash of what the shard is made of."""
        digest = hashlib.blake2b(digest_size=16)
        for piece in self.pieces:
            data = piece.text.encode()
            digest.update(f"{len(data)} {piece.split} {piece.ends}\n".encode())
            digest.update(data)
        return digest.hexdigest()

    def is_done(self) -> bool:
        """Whether this shard, of this very text, was finished before."""
        if not self.marker.is_file() or not self.tokens.is_file():
            return False
        done = json.loads(self.marker.read_text())
        return done["text"] == self.text_hash() and done["size"] == self.tokens.stat().st_size


def document_hash(parts: Iterable[bytes]) -> int:
    """64 bits that tell documents apart."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def shards_of(
    documents: Iterable[Document], folder: Path, tokenizer: Tokenizer, overlap: Overlap | None, left_out: Counter
) -> Iterator[Shard]:
    """Cut a corpus's documents into shards. Counts in `left_out` what is empty, or long and contaminated."""

    def encode(texts: list[str]) -> list[list[int]]:
        return list(tokenizer.encode(texts))

    pieces: list[Piece] = []
    size = number = 0
    for document in documents:
        if is_blank(document.text):
            left_out["empty"] += 1
            continue
        for piece in pieces_of(document, encode, overlap, left_out):
            pieces.append(piece)
            size += len(piece.text)
            if size >= SHARD_CHARS:
                yield Shard(folder, number, pieces)
                pieces, size, number = [], 0, number + 1
    if pieces:
        yield Shard(folder, number, pieces)


def pieces_of(document: Document, encode, overlap: Overlap | None, left_out: Counter) -> Iterator[Piece]:
    """One piece, or those of a long document."""
    split = SPLITS.index(split_of(document))
    if len(document.text) <= LONG:
        yield Piece(document.text, split)
        return
    if overlap is not None and split == 0 and overlap.hits(document.text):
        left_out["contaminated"] += 1
        return
    whole = document_hash(utf8_parts(document.text))
    last = None
    for text in cut(document.text, encode, LONG):
        if last is not None:
            yield Piece(last, split, ends=False, checked=True)
        last = text
    yield Piece(last or "", split, document=whole, checked=True)


def tokenise(shard: Shard, tokenizer: Tokenizer, overlap: Overlap | None, encode: Encoder | None = None) -> None:
    """Encode a shard and write it. encode: gives the tokenizer's ids, where something faster does."""
    encode = encode or tokenizer.encode
    kind = np.dtype(token_dtype(tokenizer.vocab_size)).newbyteorder("<")
    left_out: Counter = Counter()
    pieces = []
    for piece in shard.pieces:
        if overlap is not None and piece.split == 0 and not piece.checked and overlap.hits(piece.text):
            left_out["contaminated"] += 1
        else:
            pieces.append(piece)
    tokens: list[list[np.ndarray]] = [[] for _ in SPLITS]
    hashes: list[list[int]] = [[] for _ in SPLITS]
    sizes = [0] * len(SPLITS)
    for piece, ids in zip(pieces, encode(piece.text for piece in pieces), strict=True):
        data = piece.text.encode()
        sizes[piece.split] += len(data)
        if piece.ends:
            ids.append(tokenizer.eos_id)
            hashes[piece.split].append(piece.document if piece.document >= 0 else document_hash([data]))
        tokens[piece.split].append(np.array(ids, kind))
    done = {
        "text": shard.text_hash(),
        "size": 0,
        "splits": [
            [sum(map(len, parts)), size, len(documents)]
            for parts, size, documents in zip(tokens, sizes, hashes, strict=True)
        ],
        "left_out": dict(left_out),
    }
    with open(shard.tokens, "wb") as file:
        for parts in tokens:
            for part in parts:
                file.write(part.tobytes())
        for documents in hashes:
            file.write(np.array(documents, "<u8").tobytes())
        done["size"] = file.tell()
    temporary = shard.marker.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(done))
    temporary.replace(shard.marker)


def merge(files: SplitFiles, folder: Path, count: int, left_out: Counter) -> None:
    """Append shards 0 .. count - 1 of a folder to the token files of their corpus."""
    item = np.dtype(files.dtype).itemsize
    for number in range(count):
        shard = Shard(folder, number, [])
        done = json.loads(shard.marker.read_text())
        left_out.update(done["left_out"])
        with open(shard.tokens, "rb") as file:
            tokens = [file.read(item * num_tokens) for num_tokens, _, _ in done["splits"]]
            for split, data, (_, size, documents) in zip(SPLITS, tokens, done["splits"], strict=True):
                files.add(split, data, size, np.frombuffer(file.read(8 * documents), "<u8"))
