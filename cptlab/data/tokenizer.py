"""Tokenizers: train a byte-level BPE, load any Hugging Face one, and know the bytes of every token.

A folder that holds a `tokenizer.json` is read with the `tokenizers` library alone; transformers is
imported only for what has none.
"""

import hashlib
import heapq
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cptlab.data.sources.base import Document, unit_hash
from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    import tokenizers

END_OF_TEXT = "<|endoftext|>"
TRAINING_BYTES = 10_000_000  # text that a BPE is trained on
SCANNED_BYTES = 400_000_000  # text that this is drawn from, at most
BPE_RULES = "1"  # raise it when `train_bpe` makes another tokenizer of the same text
BATCH_CHARS = 2_000_000  # text that is encoded at once: bounds the memory


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with what training and bits per byte need to know of it."""

    backend: "tokenizers.Tokenizer"
    eos_id: int
    vocab_size: int  # highest id + 1
    hash: str  # SHA-256 of its canonical tokenizer.json

    def encode(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Token ids of each text in turn, EOS not added; text that looks like a special token stays text."""
        # Set by hand, so that a later fork (data loader workers) brings no warning.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self.backend.encode_special_tokens = True
        self.backend.no_truncation()
        self.backend.no_padding()
        for batch in batched(texts, BATCH_CHARS):
            for encoding in self.backend.encode_batch_fast(batch, add_special_tokens=False):
                yield encoding.ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.backend.decode(list(ids), skip_special_tokens=True)

    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) int32: UTF-8 bytes of the text of each token id, 0 for special tokens."""
        sizes = np.zeros(self.vocab_size, np.int32)
        spec = json.loads(self.backend.to_str())
        size = byte_counter(spec)
        for token, index in self.backend.get_vocab(with_added_tokens=False).items():
            sizes[index] = size(token)
        for index, added in self.backend.get_added_tokens_decoder().items():
            sizes[index] = 0 if added.special else len(added.content.encode())
        return sizes


def byte_counter(spec: dict):
    """A function from a token's name in the vocabulary to the number of bytes that it stands for."""
    stages = json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")])
    if "ByteLevel" in stages:
        return len  # each character of the name is one byte
    model = spec.get("model") or {}
    prefix = model.get("continuing_subword_prefix") or ""

    def size(token: str) -> int:
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return 1  # byte fallback
        return len(token.removeprefix(prefix).replace("\u2581", " ").encode())

    return size


def batched(texts: Iterable[str], max_chars: int) -> Iterator[list[str]]:
    """Lists of texts of about `max_chars` characters together, at least one text each."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if chars >= max_chars:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def training_sample(documents: Iterable[Document], max_bytes: int = TRAINING_BYTES) -> list[str]:
    """Texts of at most about `max_bytes` together: those whose ids hash lowest, in one bounded pass."""
    kept: list[tuple[float, int, str]] = []  # a heap, the highest hash first
    total = scanned = 0
    for number, document in enumerate(documents):
        size = len(document.text)
        heapq.heappush(kept, (-unit_hash(document.id, "bpe"), number, document.text))
        total += size
        scanned += size
        while total > max_bytes and len(kept) > 1:
            total -= len(heapq.heappop(kept)[2])
        if scanned > SCANNED_BYTES:
            break
    return [text for _, _, text in sorted(kept, key=lambda entry: entry[1])]


def train_bpe(texts: Iterable[str], vocab_size: int, folder: Path) -> None:
    """Train a byte-level BPE and save it where `load_tokenizer` and transformers' AutoTokenizer find it."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    backend.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    backend.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_tokenizer(path: str) -> Tokenizer:
    """The tokenizer of a folder, of a tokenizer.json, or of a name on the hub."""
    from tokenizers import Tokenizer as Backend

    folder = Path(path).parent if path.endswith(".json") else Path(path)
    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            backend = Backend.from_file(str(file))
        except Exception as error:
            raise UserError(f"{file} is no readable tokenizer ({error}).") from error
        eos = eos_of_folder(folder)
    else:
        backend, eos = load_with_transformers(path)
    index = backend.token_to_id(eos) if eos else None
    if index is None and eos is None and backend.token_to_id(END_OF_TEXT) is not None:
        index = backend.token_to_id(END_OF_TEXT)  # a bare tokenizer.json says of none that it ends a text
    if index is None:
        raise UserError(
            f"data.tokenizer: the tokenizer of {path} names no end-of-text token (eos_token), which packing "
            "needs between documents; set eos_token in its tokenizer_config.json."
        )
    vocab_size = 1 + max(backend.get_vocab(with_added_tokens=True).values())
    return Tokenizer(backend, index, vocab_size, tokenizer_hash(backend.to_str()))


def tokenizer_hash(text: str) -> str:
    """SHA-256 of a tokenizer.json in canonical form, without the settings of a call (padding, truncation)."""
    content = {k: v for k, v in json.loads(text).items() if k not in {"padding", "truncation"}}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def eos_of_folder(folder: Path) -> str | None:
    """The end-of-text token that the files beside a tokenizer.json name."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = folder / name
        if file.is_file():
            eos = json.loads(file.read_text(encoding="utf-8")).get("eos_token")
            eos = eos.get("content") if isinstance(eos, dict) else eos
            if eos:
                return eos
    return None


def load_with_transformers(path: str) -> "tuple[tokenizers.Tokenizer, str | None]":
    """The fast tokenizer that transformers makes of a folder or a hub name."""
    parent = Path(path).parent
    if (path.startswith((".", "/", "~")) or path.count("/") > 1) and not Path(path).exists():
        siblings = [p.name for p in parent.iterdir()] if parent.is_dir() else []
        raise UserError(f"data.tokenizer: there is no {path}.{closest(Path(path).name, siblings)}")
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(path, use_fast=True)
    except Exception as error:
        raise UserError(
            f"data.tokenizer: {path} is no folder with a tokenizer and could not be loaded from the hub "
            f"({type(error).__name__}); give an existing folder or a hub name."
        ) from error
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise UserError(f"data.tokenizer: {path} has no fast tokenizer (tokenizer.json), which is needed.")
    return backend, loaded.eos_token
