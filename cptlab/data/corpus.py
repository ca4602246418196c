"""Corpora: text in, memory-mapped tokens with a manifest out; built once, then reopened.

A folder of corpora is named by what determines its content (the source's fingerprint and the tokenizer),
is written under a temporary name and renamed when whole: a folder without manifest.json counts as absent.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cptlab.data.sources.base import SPLITS, DataSource, Documents, split_of
from cptlab.data.tokenizer import BPE_RULES, Tokenizer, load_tokenizer, train_bpe, training_sample
from cptlab.data.tokenizer import tokenizer_hash as hash_of
from cptlab.data.tokens import Corpus, sha256_file, write_corpus
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

    def __getitem__(self, name: str) -> dict[str, Corpus]:
        return self.corpora[name]

    @property
    def names(self) -> list[str]:
        """Corpus names, in the source's order."""
        return list(self.corpora)


def prepare(source: DataSource, tokenizer_path: str | None = None, *, verify: bool = False) -> Corpora:
    """Build the corpora of `source`, or reopen them.

    tokenizer_path: the base's tokenizer, used where data.tokenizer is "auto".
    verify: also read every token file again and compare its hash.
    """
    cache = Path(source.cache_dir)
    fingerprint = source.fingerprint()
    chosen = tokenizer_path if source.tokenizer == "auto" else source.tokenizer
    if chosen and not Path(chosen).exists():  # a hub name: what was loaded once is kept
        kept = cache / "tokenizers" / short("hub", chosen)
        chosen = str(kept) if (kept / "tokenizer.json").is_file() else chosen
    folder = chosen and find(cache, fingerprint, chosen)
    trained = cache / "tokenizers" / short(fingerprint, source.general, source.vocab_size, BPE_RULES)
    if not chosen and (trained / "tokenizer.json").is_file():
        folder = find(cache, fingerprint, str(trained))
    if not folder or not is_whole(folder):
        with locked(cache):
            folder = build(source, cache, fingerprint, chosen, trained)
    corpora = open_corpora(folder, source.general, verify=verify)
    check_lengths(corpora, source.sequence_length)
    return corpora


def find(cache: Path, fingerprint: str, tokenizer: str) -> Path | None:
    """The folder for a tokenizer that can be hashed without loading it; None for a name on the hub."""
    path = Path(tokenizer)
    file = path if path.suffix == ".json" else path / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        digest = hash_of(file.read_text(encoding="utf-8"))
    except ValueError:
        return None  # load_tokenizer says what is wrong with it
    return cache / short(fingerprint, digest)


def short(*parts: object) -> str:
    """12 hex digits that name a folder by what determines it."""
    return hashlib.sha256("\n".join(map(str, (FORMAT, *parts))).encode()).hexdigest()[:12]


def is_whole(folder: Path) -> bool:
    """Whether a folder was finished."""
    return (folder / "manifest.json").is_file()


def build(source: DataSource, cache: Path, fingerprint: str, chosen: str | None, trained: Path) -> Path:
    """Tokenise every corpus; returns the folder. Another process may have made it while we waited."""
    started = time.monotonic()
    documents = source.documents()
    if not chosen and not (trained / "tokenizer.json").is_file():
        say(f"training a byte-level BPE of {source.vocab_size} tokens (once) ...")
        train_tokenizer(documents, source, trained)
    tokenizer = load_tokenizer(chosen or str(trained))
    folder = cache / short(fingerprint, tokenizer.hash)
    if is_whole(folder):
        return folder
    say(f"building corpora {', '.join(documents)} (once) in {folder} ...")
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=cache))
    try:
        corpora = {name: write_corpus(name, read(), tokenizer, temporary) for name, read in documents.items()}
        for name, splits in corpora.items():
            if not sum(split.num_tokens for split in splits.values()):
                raise UserError(f"corpus {name} has no text; give it a source with at least one document.")
        save_tokenizer(chosen or str(trained), tokenizer, temporary / "tokenizer")
        np.save(temporary / "token_bytes.npy", tokenizer.token_bytes())
        write_manifest(temporary, fingerprint, tokenizer, corpora)
        if folder.exists():  # the rest of a broken one
            shutil.rmtree(folder)
        os.chmod(temporary, 0o755)  # mkdtemp made it private
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if chosen and not Path(chosen).exists():
        shutil.copytree(folder / "tokenizer", cache / "tokenizers" / short("hub", chosen), dirs_exist_ok=True)
    sizes = ", ".join(f"{name} {splits['train'].num_tokens / 1e6:.2f}M" for name, splits in corpora.items())
    say(f"built corpora in {time.monotonic() - started:.0f} s; training tokens: {sizes}")
    return folder


def train_tokenizer(documents: Documents, source: DataSource, folder: Path) -> None:
    """A byte-level BPE on training documents of the general corpus, or of all where there is none."""
    names = [source.general] if source.general else list(documents)
    training = (d for name in names for d in documents[name]() if split_of(d) == "train")
    texts = training_sample(training)
    if not texts:
        raise UserError(f"corpus {', '.join(names)} has no training text to train a tokenizer on.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    train_bpe(texts, source.vocab_size, temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def save_tokenizer(path: str, tokenizer: Tokenizer, folder: Path) -> None:
    """Keep the tokenizer beside its tokens, with what transformers needs to load it."""
    folder.mkdir()
    tokenizer.backend.save(str(folder / "tokenizer.json"))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (Path(path) / name).is_file():
            shutil.copyfile(Path(path) / name, folder / name)
    if not (folder / "tokenizer_config.json").exists():
        eos = tokenizer.backend.id_to_token(tokenizer.eos_id)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_manifest(folder: Path, fingerprint: str, tokenizer: Tokenizer, corpora: dict[str, dict[str, Corpus]]) -> None:
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
    }
    with open(folder / "manifest.json", "w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def open_corpora(folder: Path, general: str, *, verify: bool = False) -> Corpora:
    """Reopen a finished folder; the sizes of its files are checked, and with `verify` their hashes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    corpora = {
        name: {
            split: Corpus(name=name, domain=name, split=split, path=str(folder / f"{name}.{split}.bin"), **facts)
            for split, facts in splits.items()
        }
        for name, splits in manifest["corpora"].items()
    }
    for splits in corpora.values():
        for corpus in splits.values():
            path = Path(corpus.path)
            if not path.is_file() or path.stat().st_size != corpus.file_bytes:
                raise UserError(f"{path} is not the file that was built; remove {folder} and run again.")
            if verify and sha256_file(path) != corpus.content_hash:
                raise UserError(f"{path} has another content hash than its manifest; remove {folder}.")
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
    )


def check_lengths(corpora: Corpora, sequence_length: int) -> None:
    """Refuse a corpus with a split that does not fill one row."""
    for name, splits in corpora.corpora.items():
        for split in SPLITS:
            if splits[split].num_tokens < sequence_length + 1:
                raise UserError(
                    f"corpus {name}: its {split} split has {splits[split].num_tokens} tokens in "
                    f"{splits[split].num_documents} documents, fewer than one row of "
                    f"data.sequence_length + 1 = {sequence_length + 1}; give it more text or a shorter row."
                )


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One builder at a time in a cache folder, where the system knows file locks."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """One line of progress, beside the output."""
    print(line, file=sys.stderr, flush=True)
