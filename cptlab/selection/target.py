"""The text that a selection aims at: another corpus of the run, or files of their own."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cptlab.data.sources.base import Documents, split_of
from cptlab.data.sources.reading import find_files, read_texts
from cptlab.errors import UserError, closest

KEY = "selection.target"


def target_texts(target: str, text_key: str, documents: Documents) -> Iterator[str]:
    """The texts: training documents of the corpus of that name, else every document of the files."""
    if target in documents:
        yield from (document.text for document in documents[target]() if split_of(document) == "train")
        return
    for path in target_files(target, list(documents)):
        yield from read_texts("target", path, text_key)


def target_files(target: str, names: list[str]) -> list[Path]:
    """The files of a path, folder or glob. UserError also says which corpora there are."""
    if not Path(target).expanduser().exists() and not set("*?[/") & set(target):
        raise UserError(f"{KEY}={target} is neither a corpus of data nor a file.{closest(target, names)}")
    return find_files(KEY, target)


def target_hash(target: str) -> str:
    """SHA-256 of the files' bytes; the name itself where it is no file (a corpus, whose source has a fingerprint)."""
    if not Path(target).expanduser().exists() and not set("*?[/") & set(target):
        return target
    digest = hashlib.sha256()
    for path in find_files(KEY, target):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
