"""The text that a vocabulary is chosen on, and the held-out text that it is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cptlab.data.building.clean import cleaned_fingerprint
from cptlab.data.sources.base import DataSource, split_of
from cptlab.data.tokenizer import training_sample
from cptlab.errors import UserError, closest

MEASURED_BYTES = 500_000  # of each corpus, for fertility


@dataclass(frozen=True)
class Text:
    """train: documents that tokens may be chosen on; measured: {corpus: held-out documents}, train where none is."""

    train: list[str]
    measured: dict[str, list[str]]
    held_out: dict[str, bool]  # whether `measured` is


def chosen_corpora(source: DataSource, corpora: list[str] | None, names: list[str]) -> list[str]:
    """vocab.corpora, else all but data.general; None = all. UserError for one that data does not have."""
    if corpora is None:
        return names
    for name in corpora:
        if name not in names:
            raise UserError(f"vocab.corpora names {name}, which data does not have.{closest(name, names)}")
    return corpora or [name for name in names if name != source.general] or names


def read_text(source: DataSource, corpora: list[str] | None, max_bytes: float) -> Text:
    """Sample documents by the hash of their ids. UserError for data without text."""
    if type(source).tokens is not DataSource.tokens:
        raise UserError(
            "vocab changes the tokens, and data holds text that was cut before; use data=files or data=hub with the"
            " text itself, or vocab=none"
        )
    documents = source.documents()

    def of_split(name: str, train: bool) -> Iterator:
        return (d for d in documents[name]() if d.text.strip() and (split_of(d) == "train") == train)

    chosen = chosen_corpora(source, corpora, list(documents))
    train = [
        text for name in chosen for text in training_sample(of_split(name, True), max(1, int(max_bytes / len(chosen))))
    ]
    if not train:
        raise UserError(f"vocab: corpora {', '.join(chosen)} have no training text to choose tokens on")
    measured, held_out = {}, {}
    for name in documents:
        held = training_sample(of_split(name, False), MEASURED_BYTES)
        held_out[name] = bool(held)
        measured[name] = held or training_sample(of_split(name, True), MEASURED_BYTES)
    return Text(train, measured, held_out)


def text_fingerprint(source: DataSource, corpora: list[str] | None, max_bytes: float) -> str:
    """What determines `read_text`, without reading."""
    chosen = "all" if corpora is None else sorted(corpora)
    return f"{cleaned_fingerprint(source)} {source.general} {chosen} {int(max_bytes)}"
