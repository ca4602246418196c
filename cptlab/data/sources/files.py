"""Your own text: any number of named corpora, each a file, a folder or a glob."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cptlab.data.hashes import file_hash
from cptlab.data.sources.base import (
    DataSource,
    Document,
    Documents,
    check_names,
    content_id,
    held_out_split,
    split_of,
)
from cptlab.data.sources.plain_text import PLAIN_TEXT, Position, is_plain, unescaped
from cptlab.data.sources.reading import Scored, find_files, read_scored
from cptlab.errors import UserError, closest
from cptlab.variants import variant


@variant("data")
@dataclass(kw_only=True)
class Files(DataSource):
    """JSON lines (.jsonl, .jsonl.gz, .jsonl.zst), Parquet and plain text (one document a file).

    Equal texts count as one document for the split. With `valid` given for a corpus, its documents become
    valid, fit and test, everything else of that corpus is trained on, and a training document that is
    also held out, in whichever corpus, is left out.
    """

    corpora: dict[str, str] = field(default_factory=dict)  # name -> file, folder or glob
    valid: dict[str, str] = field(default_factory=dict)  # name -> the same, held out; may lack names
    text_key: str = "text"  # field or column that holds the text
    separator: str = ""  # ends a document of plain text, \n, \t, \r read as such; "" = a file is one document
    errors: str = "strict"  # bytes that are not UTF-8: strict (refused) or replace (by U+FFFD)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.errors not in ("strict", "replace"):
            raise UserError(f"data.errors is {self.errors}.{closest(self.errors, ('strict', 'replace'))}")
        self._position = Position()
        self._separator = unescaped(self.separator)
        self._held: dict[str, int] = {}  # corpus -> its training documents that are also held out
        if self.corpora:
            check_names(list(self.corpora), self.general)
        for name in self.valid:
            if self.corpora and name not in self.corpora:
                raise UserError(f"data.valid.{name} is none of the corpora.{closest(name, self.corpora)}")

    def documents(self) -> Documents:
        """One reader a corpus; held-out documents come first."""
        return self._readers({})

    def scored(self, name: str, column: str) -> Callable[[], Iterator[Document]]:
        """The same reader, with the field or column of numbers."""
        return self._readers({name: column})[name]

    def _readers(self, columns: dict[str, str]) -> Documents:
        given: set[str] = set()  # documents of the files in `valid`
        drawn: set[str] = set()  # held out by hash, of the corpora that `valid` does not name
        collected: list[bool] = []

        def collect() -> None:
            if collected or not self.valid:
                return
            given.update(content_id(text) for name in self.valid for text in self._texts("valid", name) if text)
            for name in self.corpora.keys() - self.valid.keys():
                for text in self._texts("corpora", name):
                    document = Document(content_id(text), text)
                    if text and split_of(document) != "train":
                        drawn.add(document.id)
            collected.append(True)

        def corpus(name: str) -> Callable[[], Iterator[Document]]:
            def read() -> Iterator[Document]:
                collect()
                self._held[name] = 0
                kinds = ("valid", "corpora") if name in self.valid else ("corpora",)
                self._position = Position(sum(p.stat().st_size for kind in kinds for p in self._files(kind, name)))
                if name in self.valid:
                    for text in self._texts("valid", name):
                        key = content_id(text)
                        yield Document(key, text, held_out_split(key))
                for text, score in self._scored("corpora", name, columns.get(name, "")):
                    if not text:  # left out, and counted, by the builder
                        yield Document("", "")
                        continue
                    key = content_id(text)
                    if key in given or (name in self.valid and key in drawn):
                        self._held[name] += 1
                        continue
                    yield Document(key, text, "train" if name in self.valid else "", score)

            return read

        return {name: corpus(name) for name in self.corpora}

    def fingerprint(self) -> str:
        """Corpus names, the bytes of their files, and how the text is found in them."""
        check_names(list(self.corpora), self.general)
        parts = ["files 1", self.text_key]
        if self.separator or self.errors != "strict":
            parts.append(f"{self.errors} {self._separator!r}")
        if self.separator and not any(is_plain(path) for name in self.corpora for path in self._files("corpora", name)):
            raise UserError(
                f"data.separator cuts plain text ({', '.join(PLAIN_TEXT)}), and the corpora have none; leave it out."
            )
        for kind, paths in (("corpora", self.corpora), ("valid", self.valid)):
            for name in paths:
                for path in self._files(kind, name):
                    suffix = "".join(path.suffixes[-2:])
                    parts.append(f"{kind} {name} {suffix} {file_hash(path, Path(self.cache_dir))}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _files(self, kind: str, name: str) -> list[Path]:
        return find_files(f"data.{kind}.{name}", getattr(self, kind)[name])

    def _texts(self, kind: str, name: str) -> Iterator[str]:
        return (text for text, _ in self._scored(kind, name, ""))

    def _scored(self, kind: str, name: str, column: str) -> Iterator[Scored]:
        position, files = self._position, self._files(kind, name)
        how = {"separator": self._separator, "errors": self.errors, "score_key": column, "position": position}
        before = position.cuts
        for path in files:
            yield from read_scored(f"corpus {name}", path, self.text_key, **how)
        plain = [path for path in files if is_plain(path)]
        if self._separator and plain and kind == "corpora" and position.cuts == before:
            raise UserError(
                f"data.separator: {self._separator!r} occurs nowhere in the plain text of corpus {name} ({plain[0]}"
                f"{' and others' if plain[1:] else ''}), so nothing is cut; give what ends a document there"
                r" (a file with Windows line ends has \r\n for \n), or leave it out."
            )

    def left_out(self, name: str) -> dict[str, int]:
        """Training documents that are also held out."""
        return {"held_out": self._held[name]} if self._held.get(name) else {}

    def share_read(self) -> float | None:
        """By the bytes of the files."""
        return self._position.share()
