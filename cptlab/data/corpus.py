"""Corpora: text in, memory-mapped tokens with a manifest out; built once, then reopened.

A folder of corpora is named by what determines its content (the source's fingerprint and the tokenizer),
is written under another name and renamed when whole: a folder without manifest.json counts as absent.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.data.building.build import build
from cptlab.data.building.clean import cleaned_fingerprint
from cptlab.data.building.lengths import check_lengths
from cptlab.data.building.manifest import FORMAT, Corpora, is_whole, open_corpora
from cptlab.data.building.vocabulary import train_once
from cptlab.data.sources.base import DataSource
from cptlab.data.tokenizer import BPE_RULES, load_tokenizer
from cptlab.data.tokenizer import tokenizer_hash as hash_of
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.data.building.executors import Cluster
    from cptlab.selection.base import Selection

__all__ = ["Corpora", "Corpus", "find", "prepare"]


class SubmittedError(UserError):
    """The corpora are being built elsewhere."""


@dataclass(frozen=True)
class Place:
    """Where the corpora of a source lie, as far as that is known without reading its text."""

    fingerprint: str
    tokenizer: str | None  # a file, folder or hub name; None = one is trained
    trained: Path  # where that one is kept
    tokenizer_hash: str  # "" where the tokenizer is not on this machine yet
    folder: Path | None  # None in that case too


def prepare(
    source: DataSource,
    tokenizer_path: str | None = None,
    selection: "Selection | None" = None,
    *,
    verify: bool = False,
    workers: int = 1,
    cluster: "Cluster | None" = None,
) -> Corpora:
    """Build the corpora of `source`, or reopen them.

    tokenizer_path: the base's tokenizer, used where data.tokenizer is "auto".
    selection: which training documents are kept; None = all.
    verify: also read every token file again and compare its hash.
    workers: processes of a build; one uses the tokenizer's own threads.
    cluster: where datatrove runs the tasks of a build; None = on this machine, without it.
    """
    place = find(source, tokenizer_path, selection)
    folder = place.folder
    if not folder or not is_whole(folder):
        place, folder = build_at(source, place, workers, cluster, selection)
    corpora = open_corpora(folder, source.general, tokenizer_hash=place.tokenizer_hash, verify=verify)
    check_lengths(corpora.corpora, corpora.left_out, source.sequence_length)
    return corpora


def find(source: DataSource, tokenizer_path: str | None = None, selection: "Selection | None" = None) -> Place:
    """Where the corpora of a source are, or would be. A tokenizer is trained on all text, so selections share it."""
    cache = cache_folder(source)
    whole = cleaned_fingerprint(source)
    selected = selection.fingerprint() if selection else ""
    fingerprint = hashlib.sha256(f"{whole} {selected}".encode()).hexdigest() if selected else whole
    chosen = tokenizer_path if source.tokenizer == "auto" else source.tokenizer
    if chosen and not Path(chosen).exists():  # a hub name: what was loaded once is kept
        kept = cache / "tokenizers" / short("hub", chosen)
        chosen = str(kept) if (kept / "tokenizer.json").is_file() else chosen
    trained = cache / "tokenizers" / short(whole, source.general, source.vocab_size, BPE_RULES)
    digest = digest_at(chosen or str(trained))
    folder = cache / short(fingerprint, digest) if digest else None
    return Place(fingerprint, chosen or None, trained, digest, folder)


def build_at(
    source: DataSource,
    place: Place,
    workers: int,
    cluster: "Cluster | None" = None,
    selection: "Selection | None" = None,
) -> tuple[Place, Path]:
    """Tokenise; returns the place with what the tokenizer added to it.

    UserError where the tasks were handed to SLURM: the corpora are whole when its last job has ended.
    """
    cache = Path(source.cache_dir)
    if not os.access(cache, os.W_OK):
        raise UserError(f"data.cache_dir is {cache}, which cannot be written; name another folder to build in.")
    if not place.tokenizer:
        train_once(source, place.trained)
    origin = place.tokenizer or str(place.trained)
    tokenizer = load_tokenizer(origin)
    folder = cache / short(place.fingerprint, tokenizer.hash)
    build(source, folder, place.fingerprint, tokenizer, origin, workers, cluster, selection)
    if not is_whole(folder):
        raise SubmittedError(f"handed to SLURM; {folder} is whole when the last job has ended.")
    if place.tokenizer and not Path(place.tokenizer).exists():
        shutil.copytree(folder / "tokenizer", cache / "tokenizers" / short("hub", origin), dirs_exist_ok=True)
    return Place(place.fingerprint, place.tokenizer, place.trained, tokenizer.hash, folder), folder


def cache_folder(source: DataSource) -> Path:
    """data.cache_dir, made where it is not there."""
    cache = Path(source.cache_dir)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"data.cache_dir is {cache}, which cannot be made ({error.strerror}); name a folder that can be written."
        ) from error
    return cache


def digest_at(tokenizer: str) -> str:
    """Hash of a tokenizer that can be hashed without loading it; "" for a name on the hub."""
    path = Path(tokenizer)
    file = path if path.suffix == ".json" else path / "tokenizer.json"
    if not file.is_file():
        return ""
    try:
        return hash_of(file.read_text(encoding="utf-8"))
    except ValueError:
        return ""  # load_tokenizer says what is wrong with it


def short(*parts: object) -> str:
    """12 hex digits that name a folder by what determines it."""
    return hashlib.sha256("\n".join(map(str, (FORMAT, *parts))).encode()).hexdigest()[:12]
