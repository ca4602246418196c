"""What a source of text is: named corpora of documents, and a fingerprint of what determines them.

A source only reads. Splitting is by a hash of the document's id, so that it depends on no order and no
seed; tokenising, caching and checking sizes belong to `cptlab.data.building`. Documents without text are
handed on: the builder counts them.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    import numpy as np

    from cptlab.data.tokenizer import Tokenizer
    from cptlab.data.tokens import Corpus

SPLITS = ("train", "valid", "fit", "test")
HELD_OUT = SPLITS[1:]
PACKINGS = ("concat", "best_fit")
ON_MAX_EPOCHS = ("error", "cap")
HELD_OUT_SHARE = 0.02  # share of the documents in each of valid, fit and test
FILTERS = ("gopher_quality", "gopher_repetition", "c4_quality", "c4_paragraph", "fineweb_quality", "minhash")


class Document(NamedTuple):
    """One text. Two documents of one id always lie in the same split."""

    id: str
    text: str
    split: str = ""  # "" = by the hash of the id
    score: float | None = None  # what `scored` found beside the text


Documents = dict[str, Callable[[], Iterator[Document]]]
# {corpus: a function that writes or links its token files in a folder: (split -> Corpus, split -> document hashes)}
TokenReaders = dict[str, "Callable[[Path], tuple[dict[str, Corpus], dict[str, np.ndarray]]]"]


def unit_hash(key: str, salt: str) -> float:
    """A number in [0, 1) that depends on `key` and `salt` alone, the same on every machine."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=salt.encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(document: Document) -> str:
    """The split that the source gave, else 94 % train and 2 % each of valid, fit and test by hash."""
    if document.split:
        return document.split
    place = int(unit_hash(document.id, "split") / HELD_OUT_SHARE)
    return HELD_OUT[place] if place < len(HELD_OUT) else "train"


def held_out_split(key: str) -> str:
    """valid, fit or test in equal parts, for a document that is held out already."""
    return HELD_OUT[int(unit_hash(key, "held out") * len(HELD_OUT))]


def content_id(text: str) -> str:
    """An id for documents that bring none: equal texts get equal ids, and so the same split."""
    digest = hashlib.sha256()
    for part in utf8_parts(text):
        digest.update(part)
    return digest.hexdigest()[:16]


def utf8_parts(text: str, chars: int = 1 << 24) -> Iterator[bytes]:
    """The UTF-8 bytes of a text, a part at a time: a long document is not held twice."""
    for start in range(0, len(text), chars):
        yield text[start : start + chars].encode("utf-8", "surrogatepass")


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space; `strip` would copy a long one."""
    return not text or text.isspace()


@dataclass(kw_only=True)
class DataSource(ABC):
    """Named corpora of text, split by document, and how they are tokenised."""

    general: str = ""  # name of the corpus whose loss must not rise; "" = the study has none
    tokenizer: str = "auto"  # "auto" = the base's if there is one, else a trained one; or a folder or hub name
    vocab_size: int = 1024  # [token] size of the byte-level BPE, where one is trained; at least 257
    sequence_length: int = 128  # [token] predicted tokens of one row, at least 2
    cache_dir: str = "corpora"  # folder of the tokenised corpora
    filters: list[str] = field(default_factory=list)  # of datatrove, in this order: names of FILTERS
    filter_language: str = "eng"  # ISO 639-3 code of the language whose words the filters count
    # Train documents that share a run of words with these are left out: held_out, or evaluation files path[:field]
    decontaminate: list[str] = field(default_factory=list)
    decontaminate_ngram: int = 13  # [word] length of such a run, at least 2
    packing: str = "concat"  # concat: rows cut wherever they end; best_fit: whole documents, padded
    max_epochs: float | None = None  # [epoch] passes over one corpus at most, above 0; null = no limit
    on_max_epochs: str = "error"  # error: refuse to train; cap: the surplus goes to the other corpora

    def __post_init__(self) -> None:
        if self.vocab_size < 257:
            raise UserError(f"data.vocab_size is {self.vocab_size}; 256 bytes and an end of text need 257.")
        if self.sequence_length < 2:
            raise UserError(f"data.sequence_length is {self.sequence_length}; it must be at least 2.")
        if self.decontaminate_ngram < 2:
            raise UserError(f"data.decontaminate_ngram is {self.decontaminate_ngram}; it must be at least 2.")
        for name in self.filters:
            if name not in FILTERS:
                raise UserError(f"data.filters: there is no filter {name}.{closest(name, FILTERS)}")
        for key, entries in (("filters", self.filters), ("decontaminate", self.decontaminate)):
            if len(set(entries)) < len(entries):
                raise UserError(f"data.{key} names one twice: {', '.join(entries)}.")
        for key, known in (("packing", PACKINGS), ("on_max_epochs", ON_MAX_EPOCHS)):
            if getattr(self, key) not in known:
                raise UserError(f"data.{key} is {getattr(self, key)}.{closest(getattr(self, key), known)}")
        if self.max_epochs is not None and self.max_epochs <= 0:
            raise UserError(f"data.max_epochs is {self.max_epochs}; it must be above 0, or null for no limit.")

    @abstractmethod
    def documents(self) -> Documents:
        """{corpus: a function that starts reading it from the beginning}."""

    def names(self) -> list[str]:
        """Of the corpora, in their order; [] where none are given, which `fingerprint` refuses."""
        given = getattr(self, "corpora", None)
        return list(self.documents() if given is None else given)

    def scored(self, name: str, column: str) -> Callable[[], Iterator[Document]]:
        """The reader of one corpus, its training documents with the number that stands in `column` beside the text."""
        raise UserError(
            f"selection.score={column}: data={self.variant_name} has no columns beside the text;"  # type: ignore[attr-defined]
            " use data=files or data=hub"
        )

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of everything that determines the documents, and of nothing else."""

    def tokens(self, tokenizer: "Tokenizer") -> TokenReaders | None:
        """Readers of a source that holds tokens; None = it holds text."""
        return None

    def left_out(self, name: str) -> dict[str, int]:
        """{cause: documents of a corpus that the latest reading of it did not hand on}."""
        return {}

    def share_read(self) -> float | None:
        """Part of the text that the latest reading has come past, in [0, 1]; None = not known."""
        return None


def check_names(names: list[str], general: str) -> None:
    """Refuse corpus names that cannot be a column or a file name, and a general corpus that is not there."""
    if not names:
        raise UserError("data.corpora is empty; name at least one: '+data.corpora={general: a.jsonl.gz}'.")
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise UserError(f"data.corpora.{name}: a corpus name must be letters, digits and _ after a first letter.")
    lower: dict[str, str] = {}
    for name in names:
        if lower.setdefault(name.lower(), name) != name:
            raise UserError(f"data.corpora has {lower[name.lower()]} and {name}, the same but for case.")
    if general and general not in names:
        raise UserError(f"data.general={general} is none of the corpora.{closest(general, names)}")
