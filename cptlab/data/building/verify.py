"""Look again at finished corpora: every file's hash, every id, and no held-out document in train."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cptlab.data.building.build import check_disjoint
from cptlab.data.building.manifest import open_corpora
from cptlab.data.building.shards import document_hash
from cptlab.data.tokenizer import load_tokenizer
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

BLOCK = 1 << 22  # [token] read at once


def verify(folder: Path, general: str = "") -> list[str]:
    """One line a check that passed. UserError with the named file at the first one that does not."""
    corpora = open_corpora(folder, general, verify=True)
    names = f"{len(corpora.names)} corpora"
    lines = [f"{names}: every token file has the size and SHA-256 of its manifest"]
    tokenizer = load_tokenizer(corpora.tokenizer_path)
    if tokenizer.hash != corpora.tokenizer_hash:
        raise UserError(
            f"{folder / 'manifest.json'} is of another tokenizer (hash {corpora.tokenizer_hash[:12]}) than "
            f"{corpora.tokenizer_path} (hash {tokenizer.hash[:12]}); remove {folder} and build it again."
        )
    lines.append(f"tokenizer {tokenizer.hash[:12]}: the one of the manifest")
    unique: dict[str, dict[str, np.ndarray]] = {}
    for name, splits in corpora.corpora.items():
        unique[name] = {}
        for split, corpus in splits.items():
            check_ids(corpus, corpora.vocab_size)
            hashes = np.fromiter((document_hash([d]) for d in documents(corpus, corpora.eos_id)), np.uint64)
            if len(hashes) != corpus.num_documents:
                raise UserError(
                    f"{corpus.path} has {len(hashes)} documents, its manifest says {corpus.num_documents}; "
                    f"remove {folder} and build it again."
                )
            unique[name][split] = np.unique(hashes)
    lines.append(f"{names}: every id lies below the vocabulary's {corpora.vocab_size}, every document is counted")
    check_disjoint(unique)
    held = sum(corpus.num_documents for s in corpora.corpora.values() for k, corpus in s.items() if k != "train")
    lines.append(f"none of the {held} documents of valid, fit and test is in a train split")
    return lines


def check_ids(corpus: Corpus, vocab_size: int) -> None:
    """UserError for a token that the vocabulary does not have."""
    tokens = corpus.tokens() if corpus.num_tokens else np.empty(0, corpus.dtype)
    for start in range(0, len(tokens), BLOCK):
        if (tokens[start : start + BLOCK] >= vocab_size).any():
            raise UserError(f"{corpus.path} has an id of {vocab_size} or more, which its vocabulary lacks.")


def documents(corpus: Corpus, eos_id: int) -> Iterator[bytes]:
    """The tokens of each document, without its end of text, as bytes of 32-bit ids."""
    tokens = corpus.tokens() if corpus.num_tokens else np.empty(0, corpus.dtype)
    rest: list[np.ndarray] = []
    for start in range(0, len(tokens), BLOCK):
        block = np.asarray(tokens[start : start + BLOCK], "<u4")
        begin = 0
        for end in np.flatnonzero(block == eos_id).tolist():
            yield b"".join([*(part.tobytes() for part in rest), block[begin:end].tobytes()])
            rest, begin = [], end + 1
        if begin < len(block):
            rest.append(block[begin:])
    if rest:
        yield b"".join(part.tobytes() for part in rest)
