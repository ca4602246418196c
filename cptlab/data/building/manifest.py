"""A finished folder of corpora: its manifest, and the corpora that it names."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from cptlab.data.building.lock import say
from cptlab.data.hashes import file_hash, known_hash, remember, sha256_file
from cptlab.data.sources.base import SPLITS
from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

FORMAT = 1  # raise it when the files of a folder change their form
LARGE = 1e9  # [byte] hashing more is announced


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
        "token_bytes_hash": sha256_file(folder / "token_bytes.npy"),
    }
    with open(folder / "manifest.json", "w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def open_corpora(folder: Path, general: str, *, tokenizer_hash: str = "", verify: bool = False) -> Corpora:
    """Reopen a finished folder. UserError for a file that is not the one that was built.

    Sizes are checked each time, hashes once for every state of a file (size and times of change) and, with
    `verify`, in any case. tokenizer_hash: the tokenizer that the folder must be of; "" = any.
    """
    manifest = read_manifest(folder / "manifest.json")
    try:
        found = corpora_of(manifest, folder, general)
        files = [(Path(c.path), c.file_bytes, c.content_hash) for s in found.corpora.values() for c in s.values()]
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise unreadable(folder, f"{type(error).__name__}: {error}") from error
    if tokenizer_hash and found.tokenizer_hash != tokenizer_hash:
        raise UserError(
            f"{folder / 'manifest.json'} is of another tokenizer (hash {found.tokenizer_hash[:12]}) than the one "
            f"asked for ({tokenizer_hash[:12]}); remove {folder} and run again."
        )
    for path, size, _ in files:
        if not path.is_file() or path.stat().st_size != size:
            raise UserError(f"{path} is not the file that was built; remove {folder} and run again.")
    unknown = sum(size for path, size, _ in files if not known_hash(path, folder.parent))
    if unknown > LARGE and not verify:
        say(f"{folder}: hashing {unknown / 1e9:.1f} GB of token files (once, until they change) ...")
    for path, _, content_hash in files:
        check_hash(path, content_hash, folder, verify)
    return found


def corpora_of(manifest: dict, folder: Path, general: str) -> Corpora:
    """What a manifest says. KeyError, TypeError, AttributeError or ValueError where it says nothing of the kind."""
    return Corpora(
        path=str(folder),
        general=general,
        tokenizer_path=str(folder / "tokenizer"),
        tokenizer_hash=str(manifest["tokenizer_hash"]),
        vocab_size=int(manifest["vocab_size"]),
        eos_id=int(manifest["eos_id"]),
        fingerprint=manifest["fingerprint"],
        corpora={
            name: {
                split: Corpus(
                    name=name, domain=name, split=split, path=str(folder / f"{name}.{split}.bin"), **splits[split]
                )
                for split in SPLITS
            }
            for name, splits in manifest["corpora"].items()
        },
        token_bytes=read_token_bytes(folder, int(manifest["vocab_size"]), manifest.get("token_bytes_hash", "")),
        left_out=manifest.get("left_out", {}),
        duplicates=manifest.get("duplicates", {}),
        selection=manifest.get("selection", {}),
    )


def read_token_bytes(folder: Path, vocab_size: int, content_hash: str) -> np.ndarray:
    """(vocab_size,) bytes of each token. content_hash: SHA-256 of the file, "" where an older build noted none."""
    path = folder / "token_bytes.npy"
    try:
        sizes = np.load(path)
        whole = sizes.shape == (vocab_size,) and sizes.dtype.kind in "iu"
    except (OSError, ValueError, EOFError):
        whole = False
    if not whole or (content_hash and sha256_file(path) != content_hash):
        raise UserError(f"{path} is not the file that was built; remove {folder} and run again.")
    return sizes


def read_manifest(path: Path) -> dict:
    """The manifest as written. UserError if it is not there, broken, or of another format."""
    if not path.is_file():
        raise UserError(f"{path.parent} has no manifest.json; it is no finished folder of corpora.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(path.parent, f"{type(error).__name__}: {error}") from error
    if known != FORMAT:
        raise UserError(f"{path} has format {known}, this version reads {FORMAT}; remove {path.parent} and run again.")
    return manifest


def unreadable(folder: Path, why: str) -> UserError:
    """The sentence for a manifest that lacks something."""
    return UserError(f"{folder / 'manifest.json'} is no readable manifest ({why}); remove {folder} and run again.")


def check_hash(path: Path, content_hash: str, folder: Path, verify: bool) -> None:
    """Refuse a token file of another hash: as remembered of its present state or, with `verify`, read anew."""
    if (sha256_file(path) if verify else file_hash(path, folder.parent)) != content_hash:
        raise UserError(f"{path} has another content hash than its manifest: corrupt; remove {folder} and run again.")


def remember_hashes(folder: Path) -> None:
    """Note the hashes that a builder took while it wrote, so that the first opening need not read the files again."""
    for name, splits in read_manifest(folder / "manifest.json")["corpora"].items():
        for split, facts in splits.items():
            remember(folder / f"{name}.{split}.bin", folder.parent, facts["content_hash"])
