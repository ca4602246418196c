"""A finished folder of corpora: its manifest, and the corpora that it names."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import Corpus, sha256_file
from cptlab.errors import UserError

FORMAT = 1  # raise it when the files of a folder change their form


@dataclass(frozen=True, eq=False)
class Corpora:
    """All corpora of one source under one tokenizer."""

    path: str  # the folder
    general: str  # name of the general corpus, "" = none
    tokenizer_path: str  # folder with tokenizer.json, in here
    tokenizer_hash: str
    vocab_size: int
    eos_id: int
    fingerprint: str  # of the source
    corpora: dict[str, dict[str, Corpus]]  # name -> split -> Corpus
    token_bytes: np.ndarray  # (vocab_size,) UTF-8 bytes of each token id, 0 for special tokens
    # name -> why documents were left out -> how many: empty, contaminated, or the name of a filter
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    duplicates: dict[str, dict[str, int]] = field(default_factory=dict)  # name -> split -> repeated documents
    selection: dict = field(default_factory=dict)  # what a selection kept and dropped, {} = nothing was selected

    def __getitem__(self, name: str) -> dict[str, Corpus]:
        return self.corpora[name]

    @property
    def names(self) -> list[str]:
        """Corpus names, in the source's order."""
        return list(self.corpora)


def is_whole(folder: Path) -> bool:
    """Whether a folder was finished."""
    return (folder / "manifest.json").is_file()


def write_manifest(
    folder: Path,
    fingerprint: str,
    tokenizer: Tokenizer,
    corpora: dict[str, dict[str, Corpus]],
    left_out: Mapping[str, Mapping[str, int]],
    duplicates: Mapping[str, Mapping[str, int]],
    selection: dict,
) -> None:
    """manifest.json, the last file: it makes the folder whole."""
    manifest = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "tokenizer_hash": tokenizer.hash,
        "vocab_size": tokenizer.vocab_size,
        "eos_id": tokenizer.eos_id,
        "corpora": {
            name: {
                split: {k: v for k, v in asdict(c).items() if k not in {"path", "name", "domain", "split"}}
                for split, c in splits.items()
            }
            for name, splits in corpora.items()
        },
        "left_out": left_out,
        "duplicates": duplicates,
        "selection": selection,
    }
    with open(folder / "manifest.json", "w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def open_corpora(folder: Path, general: str, *, tokenizer_hash: str = "", verify: bool = False) -> Corpora:
    """Reopen a finished folder; the sizes of its files are checked, and with `verify` their hashes.

    tokenizer_hash: the tokenizer that the folder must be of; "" = any.
    """
    manifest = read_manifest(folder / "manifest.json")
    if tokenizer_hash and manifest["tokenizer_hash"] != tokenizer_hash:
        raise UserError(
            f"{folder / 'manifest.json'} is of another tokenizer (hash {manifest['tokenizer_hash'][:12]}) than the one "
            f"asked for ({tokenizer_hash[:12]}); remove {folder} and run again."
        )
    corpora = {
        name: {
            split: Corpus(name=name, domain=name, split=split, path=str(folder / f"{name}.{split}.bin"), **facts)
            for split, facts in splits.items()
        }
        for name, splits in manifest["corpora"].items()
    }
    for splits in corpora.values():
        for corpus in splits.values():
            check_file(corpus, folder, verify)
    return Corpora(
        path=str(folder),
        general=general,
        tokenizer_path=str(folder / "tokenizer"),
        tokenizer_hash=manifest["tokenizer_hash"],
        vocab_size=manifest["vocab_size"],
        eos_id=manifest["eos_id"],
        fingerprint=manifest["fingerprint"],
        corpora=corpora,
        token_bytes=np.load(folder / "token_bytes.npy"),
        left_out=manifest.get("left_out", {}),
        duplicates=manifest.get("duplicates", {}),
        selection=manifest.get("selection", {}),
    )


def read_manifest(path: Path) -> dict:
    """The manifest as written. UserError if it is not there, broken, or of another format."""
    if not path.is_file():
        raise UserError(f"{path.parent} has no manifest.json; it is no finished folder of corpora.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no readable manifest ({error}); remove {path.parent} and run again.") from error
    if known != FORMAT:
        raise UserError(f"{path} has format {known}, this version reads {FORMAT}; remove {path.parent} and run again.")
    return manifest


def check_file(corpus: Corpus, folder: Path, verify: bool) -> None:
    """Refuse a token file that is not there, has another size or, with `verify`, another hash."""
    path = Path(corpus.path)
    if not path.is_file() or path.stat().st_size != corpus.file_bytes:
        raise UserError(f"{path} is not the file that was built; remove {folder} and run again.")
    if verify and sha256_file(path) != corpus.content_hash:
        raise UserError(f"{path} has another content hash than its manifest; remove {folder}.")
