"""Corpora from the `datasets` library: a name on the hub, or a local dataset folder, streamed."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from cptlab.data.hashes import file_hash
from cptlab.data.sources.base import DataSource, Document, Documents, check_names, content_id
from cptlab.data.sources.reading import checked, checked_score, nearby, one_line
from cptlab.errors import UserError, closest
from cptlab.variants import variant


@variant("data")
@dataclass(kw_only=True)
class Hub(DataSource):
    """Each corpus is `name`, `name:config` or `name:config:split` (an empty config is the default one).

    `name` is a dataset of the hub, `name@revision` to pin it, or a local folder that `save_to_disk` wrote
    or that holds data files. Without a revision a hub dataset counts as unchanged once it is built.
    """

    corpora: dict[str, str] = field(default_factory=dict)  # name -> name[@revision][:config[:split]]
    text_key: str = "text"  # column that holds the text
    max_documents: int | None = None  # [document] read of each corpus, from its start; null = all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corpora:
            check_names(list(self.corpora), self.general)
        if self.max_documents is not None and self.max_documents < 1:
            raise UserError(f"data.max_documents is {self.max_documents}; it must be at least 1, or null.")

    def documents(self) -> Documents:
        """One streaming reader a corpus."""
        return self._readers({})

    def scored(self, name: str, column: str) -> Callable[[], Iterator[Document]]:
        """The same reader, with a column of numbers."""
        return self._readers({name: column})[name]

    def _readers(self, columns: dict[str, str]) -> Documents:

        def corpus(name: str) -> Callable[[], Iterator[Document]]:
            def read() -> Iterator[Document]:
                for number, row in enumerate(islice(rows_of(name, self.corpora[name]), self.max_documents), 1):
                    where = f"corpus {name}: row {number} of {self.corpora[name]}"
                    text = checked(row, self.text_key, where)
                    yield Document(content_id(text), text, score=checked_score(row, columns.get(name, ""), where))

            return read

        return {name: corpus(name) for name in self.corpora}

    def fingerprint(self) -> str:
        """The names as given, or the bytes of the files of a local folder."""
        check_names(list(self.corpora), self.general)
        parts = ["hub 1", self.text_key, str(self.max_documents)]
        for name, spec in self.corpora.items():
            folder, _, rest = spec.partition(":")
            parts.append(f"{name} {spec if not Path(folder).is_dir() else rest}")
            if Path(folder).is_dir():
                files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
                parts += [file_hash(p, Path(self.cache_dir)) for p in files]
            elif looks_local(folder):
                raise UserError(f"data.corpora.{name}: there is no folder {folder}.{nearby(Path(folder))}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def looks_local(name: str) -> bool:
    """Whether a name can only be a path: a hub name has at most one slash and begins with neither . nor /."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def rows_of(corpus: str, spec: str) -> Iterator[dict]:
    """The rows of a dataset in turn. UserError where it cannot be opened, or not read to its end."""
    rows = iter(load(corpus, spec))
    for number in count():
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # whatever reads the format has its own
            raise UserError(
                f"corpus {corpus}: {spec} cannot be read after row {number} ({type(error).__name__}: "
                f"{one_line(error)}); mend the data, or leave the file out."
            ) from error
        yield row


def load(corpus: str, spec: str) -> Any:
    """An iterable of rows ({column: value})."""
    import datasets

    folder, config, asked = (*spec.split(":"), "", "")[:3]
    split = asked or "train"
    key = f"data.corpora.{corpus}"
    try:
        if Path(folder).is_dir() and (
            (Path(folder) / "dataset_dict.json").is_file() or (Path(folder) / "state.json").is_file()
        ):
            loaded = datasets.load_from_disk(folder)
            if config:
                raise UserError(f"{key}: {folder} was saved to disk, without config {config}; write {folder}::{split}.")
            if not isinstance(loaded, datasets.DatasetDict):
                if asked and asked != str(loaded.split):
                    raise UserError(
                        f"{key}: {folder} holds one dataset without named splits, so no {asked}; leave ::{asked} out."
                    )
                return loaded
            if split not in loaded:
                raise UserError(f"{key}: {folder} has no split {split}.{closest(split, map(str, loaded))}")
            return loaded[split]
        name, _, revision = folder.partition("@") if not Path(folder).is_dir() else (folder, "", "")
        return datasets.load_dataset(name, config or None, split=split, revision=revision or None, streaming=True)
    except UserError:
        raise
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise UserError(
            f"{key}: {spec} is neither a readable dataset folder nor found on the hub "
            f"({type(error).__name__}: {first})."
        ) from error
