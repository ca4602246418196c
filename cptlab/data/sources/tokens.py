"""Corpora that were tokenised elsewhere: Megatron `.bin`/`.idx` and datatrove `.ds` files."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from cptlab.data.building.splits import SplitFiles
from cptlab.data.hashes import file_hash, sha256_file
from cptlab.data.sources.base import (
    SPLITS,
    DataSource,
    Document,
    Documents,
    TokenReaders,
    check_names,
    held_out_split,
    split_of,
)
from cptlab.data.sources.reading import find_files
from cptlab.data.sources.token_files import TokenFile, open_token_file
from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import Corpus, token_dtype
from cptlab.errors import UserError, closest
from cptlab.variants import variant

ENDINGS = (".bin", ".ds")


@variant("data")
@dataclass(kw_only=True)
class Tokens(DataSource):
    """Token files with their index beside them; `tokenizer` names the tokenizer that made them.

    Documents are split by a hash of their tokens. With `valid` given for a corpus its documents become
    valid, fit and test, and a training document that is also held out is left out; where there is none,
    and the corpus is one file of 16- or 32-bit ids with an end of text after each document, the file
    itself is trained on (a link, no copy).
    """

    corpora: dict[str, str] = field(default_factory=dict)  # name -> .bin or .ds file, folder or glob
    valid: dict[str, str] = field(default_factory=dict)  # name -> the same, held out; may lack names

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corpora:
            check_names(list(self.corpora), self.general)
        for name in self.valid:
            if self.corpora and name not in self.corpora:
                raise UserError(f"data.valid.{name} is none of the corpora.{closest(name, self.corpora)}")
        if self.filters or self.decontaminate:
            raise UserError("data=tokens has no text to filter or decontaminate; do that before it is tokenised.")

    def documents(self) -> Documents:
        """There is no text."""
        raise UserError("data=tokens has no text to train a tokenizer on; name the files' own as data.tokenizer.")

    def fingerprint(self) -> str:
        """Corpus names, and the bytes of their files and indices."""
        check_names(list(self.corpora), self.general)
        parts = ["tokens 1"]
        for kind, paths in (("corpora", self.corpora), ("valid", self.valid)):
            for name in paths:
                for file in self._files(kind, name):
                    hashes = [file_hash(path, Path(self.cache_dir)) for path in (file.path, file.index)]
                    parts.append(" ".join([kind, name, *hashes]))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def tokens(self, tokenizer: Tokenizer) -> TokenReaders:
        """One writer a corpus; the ids of every file are checked first."""
        held: set[str] = set()
        self._left_out: dict[str, Counter] = {name: Counter() for name in self.corpora}
        readers: dict[str, Callable] = {}
        for name in self.corpora:
            train, valid = self._files("corpora", name), self._files("valid", name)
            for file in train + valid:
                file.check_ids(tokenizer.vocab_size, f"data.corpora.{name}")
            held.update(content_of(document, tokenizer.eos_id) for file in valid for document in file.documents())
        for name in self.corpora:
            files = self._files("corpora", name), self._files("valid", name)
            readers[name] = partial(write, name, *files, held, tokenizer, tokenizer.token_bytes(), self._left_out[name])
        return readers

    def left_out(self, name: str) -> dict[str, int]:
        """Documents without tokens, and training documents that are also held out."""
        return dict(self._left_out[name])

    def _files(self, kind: str, name: str) -> list[TokenFile]:
        key, pattern = f"data.{kind}.{name}", getattr(self, kind).get(name)
        paths = find_files(key, pattern, ENDINGS) if pattern else []
        return [open_token_file(path, key) for path in paths]


def content_of(tokens: np.ndarray, eos_id: int) -> str:
    """An id for a document: equal tokens get equal ids, whatever type holds them, end of text or not."""
    ids = np.asarray(tokens, "<u4")
    if len(ids) and ids[-1] == eos_id:
        ids = ids[:-1]
    return hashlib.sha256(ids.tobytes()).hexdigest()[:16]


def write(
    name: str,
    train: list[TokenFile],
    valid: list[TokenFile],
    held: set[str],
    tokenizer: Tokenizer,
    sizes: np.ndarray,
    left_out: Counter,
    folder: Path,
) -> tuple[dict[str, Corpus], dict[str, np.ndarray]]:
    """Write the splits of a corpus, or link the train split. sizes: (vocab_size,) bytes of each token.

    left_out: is given the count of documents without tokens, and of training documents that are also held out.
    """
    left_out.clear()
    eos = tokenizer.eos_id
    file = train[0]
    links = bool(valid) and len(train) == 1 and file.kind in ("<u2", "<i4", "<u4") and file.is_closed_by(eos)
    seen: list[int] = []  # documents of a train file that may be linked
    if links:
        keys = [content_of(document, eos) for document in file.documents()]
        links = held.isdisjoint(keys)
        seen = [int(key, 16) for key in keys]
    with SplitFiles(name, folder, token_dtype(tokenizer.vocab_size), tokenizer) as files:
        for part, given in ((valid, True), (train, False)):
            for document in (d for file in part for d in file.documents()) if given or not links else ():
                key = content_of(document, eos)
                split = held_out_split(key) if given else "train" if valid else split_of(Document(key, ""))
                if not len(document) or (not given and key in held):
                    left_out["held_out" if len(document) else "empty"] += 1
                    continue
                ids = document if document[-1] == eos else np.append(document, eos)
                data = np.asarray(ids, np.dtype(files.dtype).newbyteorder("<")).tobytes()
                files.add(split, data, int(sizes[document].sum()), np.array([int(key, 16)], np.uint64))
    corpora, unique = files.corpora(), files.unique()
    if links:
        corpora["train"] = linked(corpora["train"], file, sizes)
        unique["train"] = np.unique(np.array(seen, np.uint64))
    if not any(corpora[split].num_tokens for split in SPLITS):
        raise UserError(f"corpus {name} has no tokens; give it a file with at least one document.")
    return corpora, unique


def linked(corpus: Corpus, file: TokenFile, sizes: np.ndarray) -> Corpus:
    """The train split as the file that is there already."""
    path = Path(corpus.path)
    path.unlink()
    path.symlink_to(file.path.resolve())
    tokens = file.tokens()
    num_bytes = sum(int(sizes[tokens[i : i + (1 << 22)]].sum()) for i in range(0, len(tokens), 1 << 22))
    return replace(
        corpus,
        num_tokens=len(tokens),
        num_bytes=num_bytes,
        num_documents=len(file.ends),
        content_hash=sha256_file(file.path),
        dtype="uint16" if file.kind == "<u2" else "uint32",  # ids below 2^31 look alike in int32 and uint32
    )
